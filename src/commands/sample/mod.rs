//! Pictures from a generator: what `gan sample` does.

mod class;
mod config;
mod directory;
mod output;
mod walk;

pub use config::{Format, Interpolation, SampleConfig};
pub use output::{Produced, produce};

use std::path::Path;

use anyhow::bail;
use candle_core::Device;

use crate::commands::processes::Processes;
use crate::commands::weights;
use crate::commands::weights_dir::refuse_missing_weights_dir;
use crate::device;
use crate::error::Error;
use crate::report::Console;

/// Finds the generator, draws from it, and writes the path of the output to stdout. `typed` are the fields of `config` that were
/// set on the command line. The `processes` share the drawing; the first of them writes.
pub fn sample(
    config: &SampleConfig,
    typed: &[String],
    on: &Device,
    processes: &Processes,
    json: bool,
    console: &Console,
) -> anyhow::Result<()> {
    if config.to_stdout() && json {
        bail!(Error::Usage("--json and -o - both write to stdout; choose one".into()));
    }
    let is_share = config.format()? == Format::Directory && config.offset.is_some();
    if !(is_share || config.to_stdout()) {
        processes.refuse_common_output(Path::new(&config.output))?;
    }
    refuse_missing_weights_dir(&config.weights_dir, typed)?;
    let source = weights::generator(&config.generator(), on)?;
    console.note(&format!("drawing from {} on {}", source.origin().words, device::name(on)));
    processes.agree(|| {
        Ok(vec![("setting", format!("{config:?}")), ("network", source.origin().path.display().to_string())])
    })?;
    let produced = produce(config, &source, &**processes.communicator(), console)?;
    match (json, config.to_stdout()) {
        (true, _) => console.data_line(&serde_json::to_string(&produced)?),
        (false, true) => Ok(()),
        (false, false) => console.data_line(&produced.path),
    }
}
