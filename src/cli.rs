//! The command tree.

mod numbers;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use gan::checkpoint;
use gan::commands::evaluate::EvaluateConfig;
use gan::commands::sample::{self, SampleConfig};
use gan::device::DeviceChoice;
use gan::error::Failure;
use gan::report::{Console, ConsoleOptions};
use gan::run::life::RunOptions;
use gan::train::finetune_config::FinetuneConfig;
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;

/// Train GANs and draw from them; pretrain encoders by SimCLR and fine-tune them: on CPU, CUDA or Metal.
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
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// auto, cpu, cuda[:N] or metal[:N]
    #[arg(long, global = true, value_name = "DEVICE", default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,

    /// Threads to use; never changes a result [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = numbers::threads)]
    threads: Option<u16>,

    /// Write one JSON object a line to stdout
    #[arg(long, global = true)]
    json: bool,

    /// Say nothing on stderr but warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more on stderr
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Show no progress bar
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a generator and a discriminator
    #[command(args_override_self = true)]
    TrainGan {
        #[command(flatten)]
        config: GanConfig,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Pretrain an encoder without labels, by SimCLR
    #[command(args_override_self = true)]
    PretrainSimclr {
        #[command(flatten)]
        config: SimclrConfig,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Train a classifier on a pretrained encoder, and say what the pretraining was worth
    #[command(args_override_self = true)]
    Finetune {
        #[command(flatten)]
        config: FinetuneConfig,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Draw from a trained generator
    #[command(args_override_self = true)]
    Sample(SampleConfig),
    /// Score a generator against real images, or an encoder by its features
    #[command(args_override_self = true)]
    Evaluate(EvaluateConfig),
    /// Show what a checkpoint holds
    Inspect {
        /// .safetensors or .pth
        file: PathBuf,
    },
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
}

impl Cli {
    /// The arguments of this process, and which of them were typed. Where they are wrong, or help is asked for, that is
    /// said and the process ends.
    pub fn parse_arguments() -> (Self, ArgMatches) {
        let matches = numbers::with_number_parsers(Self::command()).get_matches();
        match Self::from_arg_matches(&matches) {
            Ok(arguments) => (arguments, matches),
            Err(error) => error.exit(),
        }
    }

    pub fn console(&self) -> Console {
        let Global { quiet, verbose, no_progress, .. } = self.global;
        Console::new(ConsoleOptions { quiet, verbose, no_progress })
    }

    /// Runs the command. `matches` tells which flags were typed and which are defaults.
    pub fn run(self, matches: &ArgMatches, console: &Console) -> anyhow::Result<()> {
        let Global { device, threads, json, .. } = self.global;
        let typed = typed(matches);
        if let Some(threads) = threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
        }
        match self.command {
            Command::TrainGan { config, run: options } => {
                let device = device.open()?;
                let weights = gan::commands::train_gan::train(config, &typed, &options, &device, json, console)?;
                match json {
                    true => Ok(()),
                    false => console.data_line(&weights.display().to_string()),
                }
            }
            Command::PretrainSimclr { config, run: options } => {
                let device = device.open()?;
                let weights =
                    gan::commands::pretrain_simclr::pretrain(config, &typed, &options, &device, json, console)?;
                match json {
                    true => Ok(()),
                    false => console.data_line(&weights.display().to_string()),
                }
            }
            Command::Finetune { config, run: options } => {
                if config.weights.is_none() && options.resume.is_none() {
                    refuse_missing_weights_dir(&options.weights_dir, &typed)?;
                }
                let device = device.open()?;
                let rows = gan::commands::finetune::finetune(config, &typed, &options, &device, json, console)?;
                match json || rows.is_empty() {
                    true => Ok(()),
                    false => console.data_line(&gan::report::probe_table(&rows)),
                }
            }
            Command::Sample(config) => {
                gan::startup::use_small_pages();
                let device = device.open()?;
                if config.to_stdout() && json {
                    bail!(Failure::Usage("--json and -o - both write to stdout; choose one".into()));
                }
                config.format()?;
                refuse_missing_weights_dir(&config.weights_dir, &typed)?;
                let source = gan::commands::weights::generator(&config.generator(), &device)?;
                console.note(&format!("drawing from {} on {}", source.origin().words, gan::device::name(&device)));
                let produced = sample::produce(&config, &source, console)?;
                match (json, config.to_stdout()) {
                    (true, _) => console.data_line(&serde_json::to_string(&produced)?),
                    (false, true) => Ok(()),
                    (false, false) => console.data_line(&produced.path),
                }
            }
            Command::Evaluate(config) => {
                refuse_missing_weights_dir(&config.weights_dir, &typed)?;
                gan::commands::evaluate::evaluate(&config, &device.open()?, json, console)
            }
            Command::Inspect { file } => inspect(&file, json, console),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "gan", &mut script);
                console.data_bytes(&script)
            }
            Command::Man => {
                let mut page = Vec::new();
                manual(&Self::command(), &mut page)?;
                console.data_bytes(&page)
            }
        }
    }
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

/// Runs are looked for in this directory: one that was typed and is not there is a slip, and the bundled weights are not
/// what was meant. Exit code 3.
fn refuse_missing_weights_dir(directory: &Path, typed: &[String]) -> anyhow::Result<()> {
    if typed.iter().any(|field| field == "weights_dir") && !directory.is_dir() {
        let found = if directory.exists() { "not a directory" } else { "no such directory" };
        bail!(Failure::Input(format!(
            "--weights-dir {}: {found}; expected the directory that holds the runs",
            directory.display()
        )));
    }
    Ok(())
}

/// One line a tensor: name, dtype, shape. With `json` an object each. The metadata goes first.
fn inspect(file: &Path, json: bool, console: &Console) -> anyhow::Result<()> {
    let description = checkpoint::describe(file)?;
    let mut lines = String::new();
    for (key, value) in &description.metadata {
        lines += &match json {
            true => format!("{}\n", serde_json::json!({ "metadata": key, "value": value })),
            false => format!("# {key}: {value}\n"),
        };
    }
    let width =
        description.tensors.keys().chain(description.unread.keys()).map(|name| name.chars().count()).max().unwrap_or(0);
    let mut scalars = 0;
    for (name, (shape, dtype)) in &description.tensors {
        let dtype = dtype.as_str();
        scalars += shape.iter().product::<usize>();
        lines += &match json {
            true => format!("{}\n", serde_json::json!({ "name": name, "dtype": dtype, "shape": shape })),
            false => format!("{name:width$}  {dtype:4}  {shape:?}\n"),
        };
    }
    for (name, what) in &description.unread {
        lines += &match json {
            true => format!("{}\n", serde_json::json!({ "name": name, "unread": what })),
            false => format!("{name:width$}  not read: {what}\n"),
        };
    }
    console.note(&format!("{}: {} tensors, {scalars} numbers", file.display(), description.tensors.len()));
    console.data_bytes(lines.as_bytes())
}

fn manual(command: &clap::Command, out: &mut dyn io::Write) -> io::Result<()> {
    let mut command = command.clone();
    command.build();
    clap_mangen::Man::new(command.clone()).render(out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = clap_mangen::Man::new(subcommand.clone());
        man.render_title(out)?;
        man.render_name_section(out)?;
        man.render_synopsis_section(out)?;
        man.render_options_section(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        numbers::with_number_parsers(Cli::command()).debug_assert();
    }
}
