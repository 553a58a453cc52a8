//! Features of pictures as a table: `gan embed`.

mod config;
mod job;

use anyhow::bail;
use candle_core::Device;

pub use config::EmbedConfig;
use config::Target;
use job::Job;

use crate::checkpoint::atomic;
use crate::commands::processes::Processes;
use crate::commands::{gallery, weights};
use crate::data::Reach;
use crate::error::Error;
use crate::pretrained::TrainedEncoder;
use crate::report::{Console, counted};
use crate::run::StopRequest;

/// Embeds the pictures, and writes what `config` asks for.
pub fn embed(
    config: &EmbedConfig,
    device: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let target = config.target(json)?;
    match target {
        Target::File(path, _) => {
            processes.refuse_common_output(path)?;
            atomic::check(path)?;
        }
        Target::Stdout(_) if console.stdout_is_terminal() => {
            bail!(Error::Usage("-o -: stdout is a terminal; pipe it, or name a file with -o".into()))
        }
        Target::Stdout(_) | Target::Lines => {}
    }
    let source = weights::encoder(config.weights.as_deref(), config.encoder, &config.weights_dir)?;
    let mut source = source.for_pictures(config.image_size)?;
    if let Some(normalise) = config.normalise {
        source.normalisation = normalise.statistics();
    }
    let gallery = gallery::open(&config.pictures.data, Reach::Everything, config.pictures.data_dir.clone(), console)?;
    console.note(&format!(
        "embedding {} of {} by {}, {}, on {}",
        counted(gallery.len(), "picture"),
        config.pictures.data,
        source.description,
        source.image_shape,
        crate::device::name(device)
    ));
    let encoder = TrainedEncoder::new(source, device)?;
    let job = Job { config, gallery: &gallery, encoder: &encoder, json, console, stop: StopRequest::listen()? };
    let written = job.run(target)?;
    written.iter().filter(|_| !json).try_for_each(|path| console.data_line(&path.display().to_string()))
}
