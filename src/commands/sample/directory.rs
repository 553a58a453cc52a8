//! A directory of samples: one PNG an image, named by its number.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::bail;

use crate::checkpoint::atomic;
use crate::error::Error;

/// The file of a sample.
pub fn name(sample: u64) -> String {
    format!("{sample:06}.png")
}

/// The sample of a file, if it has the name of one.
fn sample_of(file: &str) -> Option<u64> {
    let sample = file.strip_suffix(".png")?.parse().ok()?;
    (name(sample) == file).then_some(sample)
}

/// Samples in a directory that a call does not write again.
pub struct Stale<'a> {
    directory: &'a Path,
    /// In order.
    samples: Vec<u64>,
}

impl<'a> Stale<'a> {
    /// Looks for them in `directory`, which need not be there, before samples 0 to `count` are written.
    pub fn find(directory: &'a Path, count: u64) -> anyhow::Result<Self> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { directory, samples: Vec::new() });
            }
            entries => entries,
        };
        let names =
            entries.and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        let names = names.map_err(|error| Error::writing(directory, error))?;
        let mut samples: Vec<u64> = names.iter().filter_map(|name| sample_of(name.to_str()?)).collect();
        samples.retain(|sample| *sample >= count);
        samples.sort_unstable();
        Ok(Self { directory, samples })
    }

    /// Where there are some: [`Error::Usage`], which says how many and what to do.
    pub fn refuse(&self) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else { return Ok(()) };
        bail!(Error::Usage(format!(
            "-o {}: it holds {} samples that would not be written again, {} to {}\n--force deletes them, --offset 0 leaves \
             them and adds to them, or name another directory",
            self.directory.display(),
            self.samples.len(),
            name(*first),
            name(*last),
        )))
    }

    /// Deletes them, and what a killed process left of them.
    pub fn remove(&self) -> anyhow::Result<()> {
        for sample in &self.samples {
            let path = self.directory.join(name(*sample));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => bail!(Error::writing(&path, error)),
                _ => {}
            }
        }
        atomic::sweep(self.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_samples_are_told_from_others() {
        for (file, sample) in [
            ("000000.png", Some(0)),
            ("000063.png", Some(63)),
            ("1000000.png", Some(1_000_000)),
            ("0000063.png", None),
            ("63.png", None),
            ("+00063.png", None),
            ("000063.PNG", None),
            ("000063.png.png", None),
            ("grid.png", None),
        ] {
            assert_eq!(sample_of(file), sample, "{file}");
        }
    }
}
