//! The command tree.

mod errors;
mod help;
mod manual;
mod numbers;
mod unparsed;

use std::path::PathBuf;

use anyhow::bail;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use gan::candle_core::Device;
use gan::commands::data::{self, DataConfig};
use gan::commands::embed::{self, EmbedConfig};
use gan::commands::evaluate::{self, EvaluateConfig};
use gan::commands::inspect::inspect;
use gan::commands::predict::{self, PredictConfig};
use gan::commands::processes::Processes;
use gan::commands::sample::{self, SampleConfig};
use gan::commands::train_classifier::{self, Task};
use gan::commands::weights_dir::refuse_missing_weights_dir;
use gan::commands::{Invocation, finetune, pretrain_simclr, train_gan};
use gan::device::DeviceChoice;
use gan::error::Error;
use gan::report::{Console, ConsoleOptions};
use gan::run::RunOptions;
use gan::train::finetune_config::FinetuneConfig;
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;
pub use unparsed::end;

/// Train GANs and draw samples from them; pretrain encoders with SimCLR and fine-tune them, on CPU, CUDA or Metal.
#[derive(Debug, Parser)]
#[command(name = "gan", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    global: Global,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Device: auto, cpu, cuda[:N] or metal[:N]
    #[arg(long, global = true, value_name = "DEVICE", default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,

    /// Number of CPU threads; results do not depend on it [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = numbers::threads)]
    threads: Option<u16>,

    /// Write JSON lines to stdout
    #[arg(long, global = true)]
    json: bool,

    /// Print warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Print more details
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Show no progress
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a GAN
    #[command(args_override_self = true)]
    TrainGan {
        #[command(flatten)]
        config: GanConfig,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Pretrain an encoder without labels, with SimCLR
    #[command(args_override_self = true)]
    PretrainSimclr {
        #[command(flatten)]
        config: SimclrConfig,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Train a linear probe on a pretrained encoder, or fine-tune all of it
    #[command(args_override_self = true)]
    Finetune {
        #[command(flatten)]
        config: FinetuneConfig,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Draw samples from a trained generator
    #[command(args_override_self = true)]
    Sample(SampleConfig),
    /// Write the features that an encoder gives pictures
    #[command(args_override_self = true)]
    Embed(EmbedConfig),
    /// Say what pictures show, by a classifier of `finetune`
    #[command(args_override_self = true)]
    Predict(PredictConfig),
    /// Score a generator, an encoder, or images from elsewhere
    #[command(args_override_self = true)]
    Evaluate(EvaluateConfig),
    /// Say what is in a data set: sizes, classes, broken pictures, duplicates
    #[command(args_override_self = true)]
    Data(DataConfig),
    /// List the tensors and metadata of a weights file
    Inspect {
        /// Weights or checkpoint, .safetensors or PyTorch's .pth
        file: PathBuf,
    },
    /// Print a shell completion script
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
}

impl Command {
    /// [`Error::Usage`] where several processes were started for what one does, or cannot be joined to train.
    fn check(&self, processes: &Processes) -> anyhow::Result<()> {
        match self {
            Self::TrainGan { .. } | Self::PretrainSimclr { .. } | Self::Finetune { .. } => {
                processes.refuse_to_train_apart()
            }
            Self::Sample(_) => Ok(()),
            Self::Evaluate(config) if !config.train_classifier => Ok(()),
            _ if processes.communicator().size() > 1 => bail!(Error::Usage(
                "several processes were started, and this command does not divide its work: start one\n\
                 train-gan, pretrain-simclr, finetune, sample and evaluate (without --train-classifier) do"
                    .into()
            )),
            Self::Evaluate(_) => processes.refuse_to_train_apart(),
            _ => Ok(()),
        }
    }
}

/// The command tree with what the derive does not say: headings, examples, parsers of numbers.
fn command() -> clap::Command {
    numbers::with_number_parsers(help::arranged(Cli::command()))
}

impl Cli {
    /// The arguments of this process, and which of them were typed.
    ///
    /// # Errors
    /// What clap says in their place: help, the version or an error, which [`end`] prints.
    pub fn parse_arguments() -> Result<(Self, ArgMatches), clap::Error> {
        let matches = command().try_get_matches()?;
        Ok((Self::from_arg_matches(&matches)?, matches))
    }

    pub fn console(&self) -> Console {
        let Global { quiet, verbose, no_progress, .. } = self.global;
        Console::new(ConsoleOptions { quiet, verbose, no_progress })
    }

    /// Runs the command. `matches` tells which flags were typed and which are defaults.
    pub fn run(self, matches: &ArgMatches, console: &Console, processes: &Processes) -> anyhow::Result<()> {
        let Global { device, threads, json, .. } = self.global;
        let typed = typed(matches);
        if let Some(threads) = threads.map(usize::from).or_else(|| processes.threads()) {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        }
        processes.agree_on_command(matches.subcommand_name().unwrap_or_default())?;
        self.command.check(processes)?;
        processes.note_apart(console);
        let (is_follower, local_rank) = (processes.communicator().rank() > 0, processes.local_rank());
        match self.command {
            Command::TrainGan { config, run: options } => {
                let options = RunOptions { is_follower, ..options };
                let (typed, options, device) = (&*typed, &options, &device.open_for(local_rank)?);
                let weights =
                    train_gan::train(config, &Invocation { typed, options, device, processes, json, console })?;
                print_unless(json, &weights.display().to_string(), console)
            }
            Command::PretrainSimclr { config, run: options } => {
                let options = RunOptions { is_follower, ..options };
                let (typed, options, device) = (&*typed, &options, &device.open_for(local_rank)?);
                let weights = pretrain_simclr::pretrain(
                    config,
                    &Invocation { typed, options, device, processes, json, console },
                )?;
                print_unless(json, &weights.display().to_string(), console)
            }
            Command::Finetune { config, run: options } => {
                if config.weights.is_none() && options.resume.is_none() {
                    refuse_missing_weights_dir(&options.weights_dir, &typed)?;
                }
                let options = RunOptions { is_follower, ..options };
                let (typed, options, device) = (&*typed, &options, &device.open_for(local_rank)?);
                let found =
                    finetune::finetune(config, &Invocation { typed, options, device, processes, json, console })?;
                let table = gan::report::probe_table(&found.rows, found.classes);
                print_unless(json || found.rows.is_empty(), &table, console)
            }
            Command::Sample(config) => {
                gan::startup::use_small_pages();
                sample::sample(&config, &typed, &device.open_for(local_rank)?, processes, json, console)
            }
            Command::Embed(config) => {
                refuse_missing_weights_dir(&config.weights_dir, &typed)?;
                embed::embed(&config, &device.open_for(local_rank)?, processes, json, console)
            }
            Command::Predict(config) => {
                refuse_missing_weights_dir(&config.weights_dir, &typed)?;
                predict::predict(&config, &device.open_for(local_rank)?, processes, json, console)
            }
            Command::Evaluate(config) => {
                refuse_missing_weights_dir(&config.weights_dir, &typed)?;
                let device = device.open_for(local_rank)?;
                match config.train_classifier {
                    true => train_a_classifier(&config, &device, json, console),
                    false => evaluate::evaluate(&config, &device, processes, json, console),
                }
            }
            Command::Data(config) => data::data(&config, processes, json, console),
            Command::Inspect { file } => inspect(&file, json, console),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command(), "gan", &mut script);
                console.data_bytes(&script)
            }
            Command::Man => {
                let mut page = Vec::new();
                manual::write(command(), &mut page)?;
                console.data_bytes(&page)
            }
        }
    }
}

/// Writes `line` to stdout, except where `--json` has written the same already.
fn print_unless(written: bool, line: &str, console: &Console) -> anyhow::Result<()> {
    if written { Ok(()) } else { console.data_line(line) }
}

/// `evaluate --train-classifier`, which is a command of its own but for its name.
fn train_a_classifier(config: &EvaluateConfig, device: &Device, json: bool, console: &Console) -> anyhow::Result<()> {
    config.validate()?;
    let Some(output) = &config.output else {
        bail!(Error::Usage("--train-classifier needs -o FILE.safetensors to write to".into()));
    };
    let (data, data_options) = (config.data.as_deref(), &config.data_options);
    let task = Task { data, data_options, test_part: config.test_part, seed: config.seed, output };
    train_classifier::train(&config.classifier_config, task, device, json, console)
}

/// The fields that were set on the command line, rather than left at their defaults.
fn typed(matches: &ArgMatches) -> Vec<String> {
    let Some((_, matches)) = matches.subcommand() else { return Vec::new() };
    // Groups of flattened structs are among the ids; they have no value source of their own to ask for.
    let is_typed = |id: &&clap::Id| {
        matches.try_contains_id(id.as_str()).is_ok()
            && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
    };
    matches.ids().filter(is_typed).map(|id| id.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        command().debug_assert();
    }
}
