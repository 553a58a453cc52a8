//! What an encoder's features tell: kNN, and a linear layer on features that are computed once.

use std::time::Instant;

use anyhow::bail;
use candle_core::{Device, Tensor};

use super::EvaluateConfig;
use crate::autograd::Precision;
use crate::commands::images;
use crate::commands::processes::Processes;
use crate::data::{Dataset, ImageSet, StepPlan};
use crate::error::Error;
use crate::metrics::top_k;
use crate::optim::AdamConfig;
use crate::pretrained::features::{Labelled, knn_top1};
use crate::pretrained::reference::Reference;
use crate::pretrained::{EncoderSource, TrainedEncoder};
use crate::report::{Console, ProbeRow, probe_table, summary};
use crate::train::labels::missing_classes;
use crate::train::probe::Probe;
use crate::train::probe_batches::ProbeBatches;

/// The data set where neither a flag nor the encoder names one.
const DEFAULT_DATA: &str = "shapes";

/// How the linear layer is trained: as `gan finetune` does by default.
const EPOCHS: u64 = 10;
const BATCH: usize = 128;
const ADAM: AdamConfig = AdamConfig { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 1e-6 };

pub fn evaluate(
    config: &EvaluateConfig,
    source: EncoderSource,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    if config.output.is_some() {
        bail!(Error::Usage("-o: an encoder draws no samples; leave it out".into()));
    }
    let mut source = source.for_pictures(config.image_size)?;
    let data = config.data.as_deref().or(source.data.as_deref()).unwrap_or(DEFAULT_DATA);
    let (encoder, device_name) = (&source.description, crate::device::name(device));
    console.note(&format!("evaluating {encoder}, on {data}, on {device_name}"));
    let trained = source.trained_on.as_ref().filter(|trained| trained.is(data));
    let file = trained.map(|trained| (trained, &*source.path));
    let dataset = crate::commands::evaluate::open(data, source.image_shape, config, file, console)?;
    // By what its run held out, unless another part is asked for.
    let test_part = config.test_part.or(trained.and_then(|trained| trained.test_part(&dataset)));
    let dataset = images::with_test_part(dataset, test_part, true, console)?;
    if let Some(warning) = trained.and_then(|trained| trained.has_seen_tests(&source.name, &dataset)) {
        console.warning(&warning);
    }
    let classes = dataset.classes.len();
    if let Some(trained) = trained
        && let seen @ 1.. = config.reference.seen_by(trained, &dataset)
    {
        console.warning(&format!(
            "{} was pretrained on {seen} of the images that it is asked about, though without their labels",
            source.path.display()
        ));
    }
    if let Some(best) = source.best.filter(|_| trained.is_some() && config.reference == Reference::Validation) {
        console.warning(&best.chosen_by_validation(&source.path.display().to_string()));
    }
    let (dataset, asked) = apart(dataset, &config.reference)?;
    for (part, images) in [("training", &dataset.train), (config.reference.part(), &asked)] {
        if !images.is_labelled() {
            bail!(Error::Input(format!("--data {data}: no labelled {part} images; an encoder is evaluated by both")));
        }
    }
    let labelled = config.labels.choose(&dataset, config.stratified)?;
    if let Some(missing) = missing_classes(&labelled.labels(), &dataset.classes) {
        console.warning(&missing);
    }
    if let Some(normalise) = config.normalise {
        source.normalisation = normalise.of(&*dataset.train)?;
    }
    let encoder = TrainedEncoder::new(source, device)?;
    let source = encoder.source();
    super::agree(processes, config, &source.path, &dataset)?;
    let communicator = &**processes.communicator();
    let look = |what: &str, images: &ImageSet| -> anyhow::Result<Tensor> {
        let progress = console.items(what, images.len() as u64);
        let found = encoder.embed_among(&**images, communicator, |done| {
            progress.set(done as u64);
            true
        })?;
        found.ok_or_else(|| anyhow::anyhow!("features were not computed"))
    };
    let bank = look("training features", &labelled)?; // (M, D)
    let queries = look(&format!("{} features", config.reference.part()), &asked)?; // (N, D)
    let pair = (
        Labelled { features: &bank, labels: &labelled.labels() },
        Labelled { features: &queries, labels: &asked.labels() },
    );
    let knn = knn_top1(pair.0, pair.1, classes, communicator, || true)?.unwrap_or(f64::NAN);
    if communicator.rank() > 0 {
        return Ok(()); // the linear layer is trained by the first one
    }

    let mut rows = Vec::new();
    let seeds: Vec<u64> = (config.seed..config.seed + config.seeds).collect();
    for &seed in &seeds {
        let began = Instant::now();
        let parameters = source.parameters(device)?;
        let mut probe = Probe::new(source.encoder, parameters, classes, seed, false, ADAM, Precision::F32)?;
        let batch = BATCH.min(labelled.len());
        let plan = StepPlan::new(labelled.len(), batch, true, seed)?;
        let mut batches = ProbeBatches::features(labelled.source(), &plan, bank.clone());
        for step in 0..EPOCHS * plan.steps_per_epoch() {
            batches.train(&mut probe, step)?;
        }
        let scores = probe.classify(&queries)?; // (N, C)
        let labels = &asked.labels();
        let row = ProbeRow {
            encoder: "pretrained".into(),
            mode: "linear".into(),
            labels: labelled.len() as u64,
            top1: top_k(&scores, labels, 1)?,
            top5: top_k(&scores, labels, 5)?,
            knn,
            seconds: began.elapsed().as_secs_f64(),
        };
        if json {
            console.data_line(&serde_json::to_string(&row)?)?;
        }
        rows.push(row);
    }
    match json {
        false => console.data_line(&probe_table(&rows, Some(classes))),
        true if rows.len() > 1 => console.data_line(&summary(&rows, &seeds)?.to_string()),
        true => Ok(()),
    }
}

/// The images that the encoder is asked about, and the set without them.
fn apart(dataset: Dataset, reference: &Reference) -> anyhow::Result<(Dataset, ImageSet)> {
    let (all, places) = (dataset.train.len(), reference.places(&dataset));
    if places.end > all {
        bail!(Error::Input(format!("--reference {reference}: {} has {all} training images", dataset.name)));
    }
    let asked = match reference {
        Reference::Test => dataset.test.clone(),
        Reference::Validation => dataset.validation_images()?,
        Reference::Train(..) => dataset.train.select(&dataset.train.at(places.clone(), dataset.is_canonical)),
    };
    if places.is_empty() {
        return Ok((dataset, asked));
    }
    let mut rest = dataset.train.at(0..all, dataset.is_canonical);
    rest.drain(places);
    rest.sort_unstable();
    let train = dataset.train.select(&rest);
    Ok((Dataset { train, ..dataset }, asked))
}
