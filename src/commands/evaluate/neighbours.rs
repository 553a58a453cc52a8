//! A generator of images that no classifier fits: no scores, but its samples beside the training images nearest to them.

use anyhow::bail;

use super::EvaluateConfig;
use crate::commands::evaluate::generator::{RealImages, real_images, seen};
use crate::commands::evaluate::nearest::NearestImages;
use crate::commands::evaluate::subject::Samples;
use crate::commands::processes::Processes;
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::report::{Console, NeighbourRow};

/// Draws the picture that `-o` names, in the first process. [`Error::Input`] where it names none, for there is nothing else to
/// be found.
pub fn evaluate(
    config: &EvaluateConfig,
    samples: &Samples,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let (name, shape) = (samples.name(), samples.image_shape());
    let unfit = format!(
        "no classifier fits images of {shape}: scores are computed with the digit classifier, for images of {}",
        ImageShape::COURSE
    );
    let Some(output) = &config.output else {
        bail!(Error::Input(format!(
            "{name}: {unfit}\n--features FILE|RUN compares them by Inception's features or an encoder's; -o FILE.png draws \
             its samples beside the training images nearest to them"
        )));
    };
    let Some(data) = config.data.as_deref().or(samples.data()) else {
        bail!(Error::Usage(format!("{name} does not say what it was trained on; name the images: --data NAME|DIR")));
    };
    console.warning(&format!("{name}: {unfit}"));
    let count = samples.count(config.samples())?.min(NearestImages::MOST);
    if processes.communicator().rank() > 0 {
        return Ok(());
    }
    let RealImages { dataset, held_out, searched } = real_images(config, samples, data, console)?;
    let seen = seen(config, samples, data, &dataset, held_out);
    if seen > 0 {
        console.note(&format!(
            "{name} was trained on {seen} of the {} too: all images that it was trained on are searched for the nearest ones \
             of its samples",
            config.reference.words()
        ));
    }
    let mut nearest = NearestImages::new(Some(output), count, shape);
    nearest.take(&samples.draw(config.seed, 0, count)?);
    let Some((of_samples, of_reference)) = nearest.finish(&dataset, &config.reference, searched.as_ref())? else {
        return Ok(());
    };
    console.note(&format!("{}: samples, each beside the training image nearest to it", output.display()));
    let row = NeighbourRow {
        weights: name,
        data: dataset.name,
        reference: config.reference.words(),
        seed: config.seed,
        n: count as u64,
        nearest_train: of_samples,
        nearest_train_reference: of_reference,
    };
    match json {
        true => console.data_line(&serde_json::to_string(&row)?),
        false => console.data_line(&row.to_string()),
    }
}
