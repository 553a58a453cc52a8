//! Says what an encoder has learnt: `gan finetune`, which fills a table row by row.

mod checks;
mod files;
mod rows;

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::checkpoint::atomic;
use crate::checkpoint::header::ROWS;
use crate::commands::images::Reading;
use crate::commands::{Invocation, images, weights};
use crate::data::identity::Identity;
use crate::data::{Dataset, ImageSet, TargetShape, steps_per_epoch};
use crate::device::check_precision;
use crate::distributed::Shards;
use crate::error::Error;
use crate::pretrained::encoder::EncoderSource;
use crate::report::{Console, ProbeRow, counted};
use crate::run::{Clock, Run, RunDirectory, Session, StopRequest, Timetable, resume};
use crate::train::finetune_config::FinetuneConfig;
use crate::train::labels::missing_classes;
use crate::train::probe::{Probe, hash};

/// The data set where neither a flag nor the encoder names one.
const DEFAULT_DATA: &str = "shapes";

/// Steps between two looks at the loss.
const LOG_EVERY: u64 = 10;

/// What a run has come to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct RowsDone {
    rows: Vec<ProbeRow>,
    /// Seconds that the row in training has taken so far.
    seconds: f64,
    /// The step of the whole table that the row in training begins with; older checkpoints do not say it.
    first_step: Option<u64>,
}

/// What was found of an encoder.
#[derive(Clone, Debug, Default)]
pub struct Finetuned {
    /// None where the images have no labels.
    pub rows: Vec<ProbeRow>,
    /// Of the images; `None` where that is not known.
    pub classes: Option<usize>,
}

/// Trains every row, writes its files, and returns the rows.
pub fn finetune(mut config: FinetuneConfig, call: &Invocation) -> anyhow::Result<Finetuned> {
    let &Invocation { typed, options, device, processes, json, console, .. } = call;
    config.validate()?;
    let mut resumed = options.resume.as_ref().map(|target| resume(target, &config, typed, options)).transpose()?;
    let mut is_done = false;
    if let Some(run) = &resumed {
        config = run.config.clone();
        config.validate()?;
        let done = run.saved::<RowsDone>(ROWS)?.unwrap_or_default();
        is_done = done.rows.len() == config.rows().len();
        // Another encoder or other images, if some were named, are refused below.
        if is_done && !typed.iter().any(|field| field == "weights" || field == "data") {
            console.note(&format!("run {} is done; its table:", run.directory.name));
            print_rows(&done.rows, json, console)?;
            return Ok(Finetuned { rows: done.rows, classes: files::classes(&run.directory.weights) });
        }
    }
    if !is_done {
        check_precision(config.precision, device)?;
    }
    let mut places = resumed.as_ref().map(|run| run.places.clone()).unwrap_or_default();
    let named = config.weights.as_deref().and_then(Path::to_str);
    let place = named.map(|named| PathBuf::from(places.find("weights", named)));
    let source = weights::encoder(place.or(config.weights.clone()).as_deref(), config.encoder, &options.weights_dir)?;
    let mut source = source.for_pictures(config.image_size)?;
    let hash = hash(&source.tensors)?;
    if let Some(run) = &mut resumed {
        checks::refuse_another_encoder(run, &source, &hash)?;
    }
    let name = options.run.clone().unwrap_or_else(|| format!("{}-finetune", source.name));
    if resumed.is_none() && !options.force && config.embeddings.is_none() {
        RunDirectory::refuse_taken(&name, &options.weights_dir)?; // before a long download, not after
    }
    checks::refuse_to_delete(&source, &name, options)?;
    config.embeddings.as_deref().map_or(Ok(()), atomic::check)?;
    // What was found is part of the configuration: a resumed run must not take another.
    if resumed.is_none() || config.weights.is_none() || typed.iter().any(|field| field == "weights") {
        config.weights = Some(source.path.clone());
    }
    let is_of_encoder = config.data.is_none();
    let data = config.data.get_or_insert_with(|| source.data.clone().unwrap_or_else(|| DEFAULT_DATA.into())).clone();
    let &FinetuneConfig { balanced_parts, skip_broken, .. } = &config;
    let trained = source.trained_on.as_ref().filter(|trained| trained.is(&data));
    let data_dir = resumed.as_ref().map_or(options.data.data_dir.clone(), |run| run.data_dir.clone());
    let data_dir = data_dir.or_else(|| trained.and_then(|_| weights::data_dir_of(&source.path)));
    let reading = Reading { balanced_parts, skip_broken, data_dir };
    let target = TargetShape { shape: source.image_shape, keeps_sizes: config.crops_originals };
    if let Some(trained) = trained.filter(|_| is_of_encoder) {
        places.set("data", Path::new(trained.found()));
    }
    let dataset = images::open(&places.find("data", &data), target, &reading, call)?;
    // What the encoder's run held out, unless another part is asked for.
    let test_part = config.test_part.or(trained.and_then(|trained| trained.test_part(&dataset)));
    let dataset = images::with_test_part(dataset, test_part, true, console)?;
    if let Some(warning) = trained.and_then(|trained| trained.has_seen_tests(&source.name, &dataset)) {
        console.warning(&warning);
    }
    console.note(&source.description);
    if let Some(normalise) = config.normalise {
        let normalisation = config.normalisation.clone().map_or_else(|| normalise.of(&*dataset.train), Ok)?;
        source.normalisation = normalisation.clone();
        config.normalisation = Some(normalisation);
    }
    // Only now: a download has nothing to save, and ends at the first Ctrl-C.
    let stop = StopRequest::listen()?;
    if let (true, Some(path)) = (dataset.train.labels().is_empty(), &config.embeddings) {
        processes
            .agree(|| Ok(vec![("encoder", hash), ("images", serde_json::to_string(&Identity::of(&dataset)?)?)]))?;
        let processes = &**processes.communicator();
        files::write_embeddings(&source, &dataset.train, path, device, processes, console, &stop)?;
        console.note(&format!("{} has no labels: nothing but {} was written", dataset.name, path.display()));
        return Ok(Finetuned::default());
    }
    let mut run = match resumed {
        Some(run) => Run { config, ..run },
        None => {
            config.shards =
                call.shard_count(config.shards, |shards| FinetuneConfig { shards, ..config.clone() }.validate())?;
            Run::new(config, &name, options)?
        }
    };
    run.places = places;
    run.processes = processes.communicator().clone();
    run.config.validate()?;
    let shards = call.shards(run.config.shards)?;
    run.identify(&dataset, options.changed_data, console)?;
    let labelled = checks::labelled_images(&run.config, &dataset)?;
    if let Some(missing) = missing_classes(&labelled.labels(), &dataset.classes) {
        console.warning(&missing);
    }
    run.agree(Some(&hash))?;
    let shards = processes.on_cards(shards, device)?;
    let subject = Subject { source, hash, dataset, labelled, shards, device: device.clone() };
    let mut tuning = Tuning::begin(run, subject, stop, call)?;
    print_rows(&tuning.done.rows, json, console)?;
    tuning.run_rows()?;
    let directory = &tuning.session.run.directory;
    console.note(&format!("done: {} and {}", directory.weights.display(), directory.samples.display()));
    Ok(Finetuned { rows: tuning.done.rows, classes: Some(tuning.subject.dataset.classes.len()) })
}

/// With `json` the rows that a resumed run has already.
fn print_rows(rows: &[ProbeRow], json: bool, console: &Console) -> anyhow::Result<()> {
    rows.iter().filter(|_| json).try_for_each(|row| console.data_line(&serde_json::to_string(row)?))
}

/// What is fine-tuned, on what.
struct Subject {
    source: EncoderSource,
    /// The SHA-256 of its tensors.
    hash: String,
    dataset: Dataset,
    labelled: ImageSet,
    shards: Shards,
    device: Device,
}

/// The table in the making.
struct Tuning<'a> {
    /// A part of it is a row.
    session: Session<FinetuneConfig, ProbeRow>,
    subject: Subject,
    done: RowsDone,
    /// The row that training goes on with, from a step of it.
    next: Option<(Probe, u64)>,
    config: FinetuneConfig,
    console: &'a Console,
}

/// The steps of a row. Its batches are of all labelled images where they are fewer than `--batch-size`, but for what does not
/// go into the shards.
fn timetable(config: &FinetuneConfig, labelled: &ImageSet) -> Timetable {
    let most = config.batch_size.min(labelled.len());
    let batch_size = most - most % config.shards.unwrap_or(1);
    let steps_per_epoch = steps_per_epoch(labelled.len(), batch_size);
    let (last_step, log_every) = (config.epochs.saturating_mul(steps_per_epoch), LOG_EVERY);
    let &FinetuneConfig { checkpoint_every, keep, .. } = config;
    Timetable { last_step, steps_per_epoch, batch_size, log_every, measure_every: 0, checkpoint_every, keep }
}

impl<'a> Tuning<'a> {
    fn begin(
        mut run: Run<FinetuneConfig>,
        subject: Subject,
        stop: StopRequest,
        call: &Invocation<'a>,
    ) -> anyhow::Result<Self> {
        let config = run.config.clone();
        let timetable = timetable(&config, &subject.labelled);
        let steps_a_row = timetable.last_step;
        let (done, first_step) = rows_done(&run, steps_a_row)?;
        let mut next = None;
        if let Some(&row) = config.rows().get(done.rows.len()) {
            let mut probe = subject.probe(&config, row)?;
            run.check_space(&timetable, &probe.state())?;
            let mut step = 0;
            run.restore(|state, _| match state.is_empty() {
                true => Ok(()), // between two rows
                false => {
                    step = first_step;
                    probe.restore(state, step)
                }
            })?;
            next = Some((probe, step));
        }
        let (asked, taken) = (config.batch_size, timetable.batch_size);
        let batch = match subject.labelled.len() - taken {
            _ if taken == asked => asked.to_string(),
            0 => format!("{taken} (all there are, for --batch-size {asked})"),
            _ => format!("{taken} (all that go into {} shards, for --batch-size {asked})", subject.shards.count()),
        };
        let Subject { dataset, labelled, .. } = &subject;
        let what = format!(
            "{} of {}, batch {batch}, {} to test on, {} of {}",
            counted(labelled.len(), "labelled image"),
            dataset.name,
            dataset.test.len(),
            counted(config.rows().len(), "row"),
            counted(steps_a_row, "step"),
        );
        let kept = run.kept_records(|row: &ProbeRow| done.rows.contains(row))?;
        let clock = Clock::start(timetable, (first_step, done.seconds), call.monitor(), stop);
        let session = Session::take_over(run, clock, &kept)?;
        session.announce(&what, &call.trained_on());
        Ok(Self { session, subject, done, next, config, console: call.console })
    }
}

/// What a run has come to, and the step of the row in training.
fn rows_done(run: &Run<FinetuneConfig>, steps_a_row: u64) -> anyhow::Result<(RowsDone, u64)> {
    if !run.is_resumed() {
        return Ok((RowsDone::default(), 0));
    }
    let damaged =
        || Error::reading(&run.directory.checkpoint_path(run.step()), format!("its {ROWS} is missing or damaged"));
    let mut done: RowsDone = run.saved(ROWS)?.ok_or_else(damaged)?;
    let before = done.first_step.unwrap_or(steps_a_row.saturating_mul(done.rows.len() as u64));
    done.first_step = Some(before);
    match run.step().checked_sub(before) {
        Some(step) if step <= steps_a_row || run.has_changed_data => Ok((done, step)),
        _ => Err(damaged().into()),
    }
}
