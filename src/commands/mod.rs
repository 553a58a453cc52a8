//! What each command does, straight down. Commands do not import each other; they share
//! [`Invocation`], `class_names`, `gallery`, `images`, `weights` and `weights_dir`.

mod class_names;
pub mod data;
pub mod embed;
pub mod errors;
pub mod evaluate;
pub mod exit_code;
pub mod finetune;
mod gallery;
mod images;
pub mod inspect;
pub mod predict;
pub mod pretrain_simclr;
pub mod processes;
mod processors;
pub mod sample;
pub mod train_classifier;
pub mod train_gan;
pub mod weights;
pub mod weights_dir;

use anyhow::bail;
use candle_core::Device;

use crate::commands::processes::Processes;
use crate::distributed::Shards;
use crate::error::Error;
use crate::evaluator::GeneratorEvaluator;
use crate::report::{Console, Monitor, counted};
use crate::run::RunOptions;
use crate::train::gan_config::GanConfig;
use crate::train::penalty::Penalties;

/// What a command that trains is given beside its configuration.
#[derive(Clone, Copy)]
pub struct Invocation<'a> {
    /// The fields of the configuration that the user set, which a resumed run checks against its own.
    pub typed: &'a [String],
    pub options: &'a RunOptions,
    pub device: &'a Device,
    /// The processes that train together.
    pub processes: &'a Processes,
    /// Whether every record is streamed to stdout.
    pub json: bool,
    pub console: &'a Console,
}

impl Invocation<'_> {
    fn monitor(&self) -> Monitor {
        Monitor::new(self.console, self.json)
    }

    /// What trains, in words.
    fn trained_on(&self) -> String {
        let device = crate::device::name(self.device);
        self.processes.words().map_or(device.clone(), |processes| format!("{device}, {processes}"))
    }

    /// The number of shards of a run that begins, where `asked` may say it: else one for each process. `check` is what refuses
    /// a number.
    fn shard_count(
        &self,
        asked: Option<usize>,
        check: impl FnOnce(Option<usize>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<usize>> {
        let processes = self.processes.communicator().size();
        let shards = asked.or((processes > 1).then_some(processes));
        check(shards).map_err(|error| match error.downcast_ref() {
            Some(Error::Setting { name: "shards", problem, .. }) if asked.is_none() => {
                Error::Usage(format!("{processes} processes, with a shard each: {problem}")).into()
            }
            _ => error,
        })?;
        Ok(shards)
    }

    /// `count` shards, as the processes compute them.
    fn shards(&self, count: Option<usize>) -> anyhow::Result<Shards> {
        let communicator = self.processes.communicator();
        let (count, size) = (count.unwrap_or(1), communicator.size());
        if !count.is_multiple_of(size) {
            let problem = format!("cannot be divided evenly among {size} processes");
            bail!(match self.typed.iter().any(|typed| typed == "shards") {
                true => Error::setting("shards", count, format!("they {problem}")),
                false => Error::Usage(format!("the run's {} {problem}", counted(count, "shard"))),
            });
        }
        Ok(Shards::new(count, communicator.clone())?)
    }
}

/// Refuses batch norm across shards where it is not to be had.
fn check_sync_batch_norm(is_on: bool, device: &Device) -> anyhow::Result<()> {
    if is_on && !device.is_cpu() {
        bail!(Error::setting("sync_batch_norm", "", "on a GPU batch norm looks at one shard alone"));
    }
    Ok(())
}

/// What a run's first line says of its batches.
fn batch_in_words(batch_size: usize, shards: Option<usize>, sync_batch_norm: bool) -> String {
    let batch = format!("batch {batch_size}");
    match (shards.unwrap_or(1), sync_batch_norm) {
        (1, false) => batch,
        (1, true) => format!("{batch} in one shard, where --sync-batch-norm changes nothing"),
        (shards, false) => format!("{batch} in {shards} shards"),
        (shards, true) => format!("{batch} in {shards} shards with synchronised batch norm"),
    }
}

/// [`Error::Setting`] where a penalty on D's gradient cannot be computed on `device`.
fn check_penalties(config: &GanConfig, device: &Device) -> anyhow::Result<()> {
    let (name, value) = match Penalties::of(config) {
        penalties if !penalties.is_any() => return Ok(()),
        _ if config.r1 > 0.0 => ("r1", config.r1),
        _ if config.r2 > 0.0 => ("r2", config.r2),
        _ => ("gradient_penalty", config.gradient_penalty),
    };
    if device.is_metal() {
        bail!(Error::setting(name, value, "expected 0: on Metal there are no penalties on a gradient"));
    }
    if config.spectral_norm && !device.is_cpu() {
        bail!(Error::setting(name, value, "expected 0: on a GPU no penalty goes with spectral norm"));
    }
    Ok(())
}

/// Says why scores of `evaluator` may mean less than they seem to. `flag` names another classifier to the command.
fn print_warnings(evaluator: &GeneratorEvaluator, flag: &str, console: &Console) -> anyhow::Result<()> {
    if let Some(warning) = evaluator.classifier_warning() {
        console.warning(&format!(
            "{warning}\ntrain one on the same --data with `gan evaluate --train-classifier -o FILE.safetensors`, and name \
             it with {flag}"
        ));
    }
    evaluator.warnings()?.iter().for_each(|warning| console.warning(warning));
    Ok(())
}
