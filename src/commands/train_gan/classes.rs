//! The classes of a conditional GAN: what its images must have.

use anyhow::bail;

use crate::commands::class_names::listed;
use crate::data::Dataset;
use crate::error::Error;
use crate::train::gan_config::GanConfig;
use crate::train::labels::absent_classes;

/// One-hot classes have a value for each: this many make the generator's first layer ten times what latents need.
const MOST: usize = 1000;

/// The names of the classes of `dataset` where `config` asks for a conditional GAN, else none. [`Error::Input`] where the
/// images have none, or only one, or others than those that a resumed run has in its configuration.
pub(super) fn names(config: &GanConfig, dataset: &Dataset) -> anyhow::Result<Vec<String>> {
    if !config.conditional {
        return Ok(Vec::new());
    }
    let (name, classes) = (&dataset.name, &dataset.classes);
    let labels = dataset.train.labels();
    if labels.is_empty() || classes.len() < 2 {
        let found = if labels.is_empty() { "images without classes" } else { "images of one class" };
        bail!(Error::Input(format!(
            "--conditional: {name} has {found}; expected two classes at least\nput the pictures in one folder a class, or \
             leave the flag out"
        )));
    }
    if classes.len() > MOST {
        bail!(Error::Input(format!("--conditional: {name} has {} classes; expected at most {MOST}", classes.len())));
    }
    if let Some(label) = labels.iter().find(|label| **label as usize >= classes.len()) {
        bail!(Error::Input(format!(
            "--data {name}: a label {label} among the training images; expected 0 to {}",
            classes.len() - 1
        )));
    }
    if ![&[][..], classes].contains(&&config.class_names[..]) {
        bail!(Error::Input(format!(
            "--data {name}: its classes are {}, those that the run began with {}",
            listed(classes),
            listed(&config.class_names)
        )));
    }
    Ok(classes.clone())
}

/// What is to be said where the images of `dataset` that a conditional GAN trains on leave out a class: the generator never
/// learns to draw it.
pub(super) fn warning(config: &GanConfig, dataset: &Dataset) -> Option<String> {
    let labels = dataset.train.labels();
    let absent = absent_classes(&labels, &config.class_names)?;
    Some(format!(
        "--conditional: {absent}: no image among the {} to train on, so nothing is learnt of it",
        labels.len()
    ))
}
