//! What fine-tuning refuses before it begins.

use anyhow::bail;

use crate::checkpoint::header::ENCODER;
use crate::data::{Dataset, ImageSet};
use crate::error::Error;
use crate::pretrained::encoder::EncoderSource;
use crate::report::Notice;
use crate::run::{Run, RunOptions};
use crate::train::finetune_config::{FinetuneConfig, Mode};

/// `--force` on the run that holds the encoder would delete it.
pub(super) fn refuse_to_delete(source: &EncoderSource, name: &str, options: &RunOptions) -> anyhow::Result<()> {
    let of_run = source.path.parent().and_then(|run| run.canonicalize().ok());
    if options.force && of_run.is_some() && of_run == options.weights_dir.join(name).canonicalize().ok() {
        bail!(Error::Usage(format!(
            "--force: it would delete the encoder {}, which lies in the run {name}; name another run with --run",
            source.path.display()
        )));
    }
    Ok(())
}

/// The rows that are done are of the encoder of this hash, and the others must be of the same.
pub(super) fn refuse_another_encoder(
    run: &mut Run<FinetuneConfig>,
    source: &EncoderSource,
    hash: &str,
) -> anyhow::Result<()> {
    let (path, name) = (source.path.display(), &run.directory.name);
    match run.saved::<String>(ENCODER)? {
        Some(then) if then != hash => bail!(Error::Input(format!(
            "{path}: not the encoder that the run {name} began with: sha256 {} then, {} now\nname the place of that one by \
             --weights, or begin anew with --force or --run OTHER",
            then.get(..12).unwrap_or(&then),
            &hash[..12]
        ))),
        None if run.is_resumed() => run.notices.push(Notice::Note(format!(
            "the checkpoint does not say which encoder the run {name} began with; from now on its checkpoints do"
        ))),
        _ => {}
    }
    Ok(())
}

/// The training images whose labels are used. [`Error::Input`] where there are no labels, no test images, or too few.
pub(super) fn labelled_images(config: &FinetuneConfig, dataset: &Dataset) -> anyhow::Result<ImageSet> {
    let (name, classes) = (&dataset.name, dataset.classes.len());
    for (part, images) in [("training", &dataset.train), ("test", &dataset.test)] {
        let labels = images.labels();
        if labels.is_empty() {
            bail!(Error::Input(format!(
                "--data {name}: {part} images without classes, which finetune needs\nput the pictures in one folder a class, \
                 in train/ and test/ if they are divided; or write the features alone with --embeddings FILE.npy"
            )));
        }
        if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
            bail!(Error::Input(format!(
                "--data {name}: a label {label} among the {part} images; expected 0 to {}",
                classes - 1
            )));
        }
    }
    let labelled = config.labels.choose(dataset, config.stratified)?;
    let (found, shards) = (labelled.len(), config.shards.unwrap_or(1));
    if found < 2 * shards && config.mode != Mode::Linear {
        let of_shard = if shards > 1 { " in each shard" } else { "" };
        bail!(Error::Input(format!(
            "--labels {} of {name} are {found} images: batch norm needs at least 2{of_shard}; raise --labels, or use --mode \
             linear",
            config.labels
        )));
    }
    if found < shards {
        bail!(Error::Input(format!(
            "--labels {} of {name} are {found} images: there are {shards} shards, of at least 1 image each; raise --labels",
            config.labels
        )));
    }
    Ok(labelled)
}
