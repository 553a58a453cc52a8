//! What is in a data set: `gan data`.

mod sheet;

use std::path::PathBuf;

use anyhow::bail;
use serde::Serialize;

use crate::checkpoint::atomic;
use crate::commands::gallery;
use crate::commands::processes::Processes;
use crate::data::{Census, Reach};
use crate::error::Error;
use crate::report::{Console, census_tables, counted, encode_png};
use crate::run::StopRequest;

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct DataConfig {
    /// A folder of pictures, at any depth; one picture; a .tar or .zip of pictures, or a directory of them; a directory of
    /// .parquet files; a named set or another directory that `--data` takes elsewhere
    pub data: String,

    /// Draw some pictures of each class on a sheet, FILE.png
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Directory of the named data sets [default: the user's cache directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    data: &'a str,
    #[serde(flatten)]
    census: &'a Census,
}

/// Looks at every picture, and says what is there.
pub fn data(config: &DataConfig, processes: &Processes, json: bool, console: &Console) -> anyhow::Result<()> {
    if let Some(output) = &config.output {
        if output.extension().is_none_or(|extension| extension != "png") {
            bail!(Error::Usage(format!("-o {}: expected a name that ends in .png", output.display())));
        }
        processes.refuse_common_output(output)?;
        atomic::check(output)?;
    }
    let gallery = gallery::open(&config.data, Reach::Training, config.data_dir.clone(), console)?;
    let stop = StopRequest::listen()?;
    let progress = console.items("pictures", gallery.len() as u64);
    let census = Census::of(&gallery, |done| {
        progress.set(done as u64);
        stop.signal().is_none()
    });
    progress.finish();
    let Some(census) = census else { bail!(Error::Stopped(stop.signal().unwrap_or_default())) };
    if let Some(output) = &config.output {
        let (sheet, pictures) = sheet::draw(&gallery, &census)?;
        atomic::write(output, |out| encode_png(&sheet, out))?;
        console.note(&format!("{}: {}", output.display(), counted(pictures, "picture")));
    }
    match json {
        true => console.data_line(&serde_json::to_string(&Report { data: &config.data, census: &census })?)?,
        false => console.data_line(&census_tables(&census))?,
    }
    let broken = census.broken.len();
    if broken > 0 {
        let pictures = if broken == 1 { "picture" } else { "pictures" };
        console.warning(&format!("{broken} {pictures} of {} cannot be decoded", gallery.len()));
    }
    let across = census.duplicates.iter().filter(|set| set.across_parts).count();
    if across > 0 {
        let pictures = if across == 1 { "picture is" } else { "pictures are" };
        console.warning(&format!("{across} {pictures} in more than one part of the set"));
    }
    Ok(())
}
