//! What pictures show, by a classifier: `gan predict`.

mod config;
mod output;
mod truth;

use std::io::{self, Write};

use candle_core::Device;

pub use config::PredictConfig;
use config::Target;
use output::{Format, Output, Prediction};
use truth::Truth;

use crate::checkpoint::atomic;
use crate::commands::gallery::Walk;
use crate::commands::processes::Processes;
use crate::commands::{gallery, weights};
use crate::data::Reach;
use crate::report::{self, Console, counted};
use crate::run::StopRequest;

/// Classifies the pictures, and writes what `config` asks for.
pub fn predict(
    config: &PredictConfig,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let target = config.target(json)?;
    if let Target::File(path) = target {
        processes.refuse_common_output(path)?;
        atomic::check(path)?;
    }
    let classifier = weights::classifier(config.weights.as_deref(), &config.weights_dir, device)?;
    let gallery = gallery::open(&config.pictures.data, Reach::Everything, config.pictures.data_dir.clone(), console)?;
    let shape = classifier.encoder().source().image_shape;
    console.note(&format!(
        "classifying {} of {} by {}, {shape}, on {}",
        counted(gallery.len(), "picture"),
        config.pictures.data,
        classifier.origin().words,
        crate::device::name(device)
    ));
    if !classifier.has_class_names() {
        console.note("its file does not name the classes: these are their numbers");
    }
    let classes = classifier.class_names();
    let top = config.top.min(classes.len());
    let format = match target {
        Target::Lines => Format::Lines,
        Target::Table => Format::table(&gallery, classes),
        Target::File(_) | Target::Stdout => Format::Csv { top, has_classes: !gallery.classes.is_empty() },
    };
    let mut truth = Truth::new(&gallery, &config.pictures.data, &classifier);
    let stop = StopRequest::listen()?;
    let walk = Walk { gallery: &gallery, shape, skip_broken: config.pictures.skip_broken, console, stop: &stop };
    let mut write_to = |out: &mut dyn Write| -> anyhow::Result<()> {
        let mut output = Output { out, format };
        output.begin()?;
        walk.for_each_batch(|pictures, images| {
            let probabilities = classifier.classify(images)?.to_vec2::<f32>()?;
            for (picture, probabilities) in pictures.iter().zip(&probabilities) {
                let best = largest(probabilities, top);
                truth.judge(*picture, &best);
                let best = best.iter().map(|class| (classes[*class].as_str(), probabilities[*class])).collect();
                let path = &gallery.entries[*picture].path;
                output.write(&Prediction { path, class: gallery.class_of(*picture), best })?;
            }
            Ok(output.out.flush()?)
        })
    };
    if let Target::File(path) = target {
        atomic::write_file(path, |out| write_to(out))?;
        console.data_line(&path.display().to_string())?;
    } else {
        write_to(&mut console.data_writer()).map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => report::stdout_failure(error).into(),
            Err(error) => error,
        })?;
    }
    truth.say(top, console);
    Ok(())
}

/// The `count` most probable classes, of equal ones the first.
fn largest(probabilities: &[f32], count: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..probabilities.len()).collect();
    classes.sort_by(|left, right| probabilities[*right].total_cmp(&probabilities[*left])); // stable
    classes.truncate(count);
    classes
}
