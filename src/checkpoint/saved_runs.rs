//! What a run writes, by name; and what runs there are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The configuration.
pub const CONFIG_FILE: &str = "config.json";
/// The log.
pub const LOG_FILE: &str = "metrics.jsonl";
/// Set aside: a checkpoint that could not be read when a run went on from the one before it.
pub const DAMAGED: &str = ".damaged";

/// A run on disk.
#[derive(Clone, Debug)]
pub struct SavedRun {
    pub name: String,
    /// `weights/NAME`
    pub weights: PathBuf,
    /// When its newest checkpoint or network was written.
    pub modified: SystemTime,
}

/// The runs under a weights directory, newest first; those without a checkpoint or a network are not among them.
pub fn saved_runs(weights_dir: &Path) -> Vec<SavedRun> {
    let mut runs: Vec<SavedRun> = file_names(weights_dir)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| {
            let weights = weights_dir.join(&name);
            let modified = newest_weights(&weights)?;
            Some(SavedRun { name, weights, modified })
        })
        .collect();
    runs.sort_by(|left, right| right.modified.cmp(&left.modified).then_with(|| left.name.cmp(&right.name)));
    runs
}

fn newest_weights(directory: &Path) -> Option<SystemTime> {
    let names = file_names(directory).ok()?;
    let weights = names.iter().filter(|name| step_of(name).is_some() || is_network(name));
    weights.filter_map(|name| fs::metadata(directory.join(name)).and_then(|found| found.modified()).ok()).max()
}

pub fn file_names(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// `step-00000500.safetensors` in `weights`.
pub fn checkpoint_path(weights: &Path, step: u64) -> PathBuf {
    weights.join(format!("step-{step:08}.safetensors"))
}

/// The steps of the checkpoints in `weights`, ascending.
pub fn checkpoint_steps(weights: &Path) -> io::Result<Vec<u64>> {
    let names = file_names(weights)?;
    let steps = names.iter().filter_map(|name| step_of(name));
    let mut steps: Vec<u64> = steps.filter(|&step| checkpoint_path(weights, step).is_file()).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Whether a run has written to `directory`; a network alone counts, since a new run would replace it.
pub fn holds_run(directory: &Path) -> bool {
    file_names(directory).unwrap_or_default().iter().any(|name| is_run_file(name) && !name.ends_with(DAMAGED))
}

/// The step in `step-00000500.safetensors`.
fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// `step-00000250.png`
pub fn grid_name(step: u64) -> String {
    format!("step-{step:08}.png")
}

/// The step in `step-00000250.png`.
pub fn grid_step(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".png")?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Whether `name` is what a run is for: a generator to draw from, an encoder to fine-tune.
fn is_network(name: &str) -> bool {
    const NETWORKS: [&str; 5] = [
        "generator.safetensors",
        "generator_ema.safetensors",
        "generator_best.safetensors",
        "encoder.safetensors",
        "encoder_best.safetensors",
    ];
    NETWORKS.contains(&name)
}

/// What a run writes under weights/NAME.
pub fn is_run_file(name: &str) -> bool {
    const EXPORTS: [&str; 5] =
        ["discriminator.safetensors", "projection_head.safetensors", "classifier.safetensors", CONFIG_FILE, LOG_FILE];
    let checkpoint = name.strip_suffix(DAMAGED).unwrap_or(name);
    let classifier = name.starts_with("classifier-") && name.ends_with(".safetensors");
    step_of(checkpoint).is_some() || is_network(name) || classifier || EXPORTS.contains(&name)
}

/// What a run writes under samples/NAME.
pub fn is_sample_file(name: &str) -> bool {
    // Those of a table have the row in their names: confusion.png, confusion-untrained-full.png.
    let of_row = |kind: &str| name.strip_prefix(kind).is_some_and(|rest| rest == ".png" || rest.starts_with('-'));
    grid_step(name).is_some()
        || ["losses.png", "progress.gif", "views.png"].contains(&name)
        || of_row("confusion")
        || of_row("map")
}
