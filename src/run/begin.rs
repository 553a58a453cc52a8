//! How a run begins: the one place where it changes what was there before.

use std::fs;
use std::path::{Path, PathBuf};

use super::line;
use super::lock;
use crate::checkpoint::atomic;
use crate::checkpoint::saved_runs::{CONFIG_FILE, DAMAGED, checkpoint_path, file_names, is_run_file, is_sample_file};
use crate::error::Error;
use crate::run::directory::{Beginning, RunDirectory, refuse_held};

impl RunDirectory {
    /// Makes the directories, writes the configuration, and removes what a killed process or the run before this one has
    /// left. To be called just before the first step, when nothing else can be refused. Where it fails, a new run leaves
    /// nothing.
    ///
    /// # Errors
    /// [`Error::RunExists`] or [`Error::RunInUse`] where another process was faster. [`Error::Storage`] where the
    /// directories cannot be made or written to.
    pub fn begin(&mut self, config: &[u8]) -> anyhow::Result<()> {
        let mut made = Made::default();
        made.directory(&self.weights)?;
        if self.lock.make(&self.weights, &self.name)? {
            made.0.push(lock::path(&self.weights));
        }
        made.directory(&self.samples)?;
        prove_writable(&self.samples)?;
        if self.beginning == Beginning::New {
            refuse_held(&self.name, &self.weights)?;
        }
        for directory in [&self.weights, &self.samples] {
            atomic::sweep(directory)?;
            if self.is_staging {
                line::discard(directory)?;
            }
        }
        if !self.is_staging {
            self.line.settle(&self.weights, &self.samples)?;
        }
        let path = self.weights_path(CONFIG_FILE);
        if !fs::read(&path).is_ok_and(|found| found == config) {
            atomic::write(&path, |out| out.write_all(config))?;
        }
        if self.beginning == Beginning::New {
            made.0.push(path);
        }
        self.lock.sign(&self.weights)?;
        made.0.clear();
        if !self.is_staging {
            self.clear()?;
        }
        self.has_begun = true;
        Ok(())
    }

    /// Removes what is of no use to the run that begins.
    fn clear(&mut self) -> anyhow::Result<()> {
        line::discard(&self.weights)?;
        line::discard(&self.samples)?;
        match self.beginning {
            Beginning::New => Ok(()),
            Beginning::Forced => {
                remove_where(&self.weights, |name| is_run_file(name) && name != CONFIG_FILE)?;
                remove_where(&self.samples, is_sample_file)
            }
            Beginning::Resumed(step) => {
                for step in self.damaged.drain(..) {
                    let path = checkpoint_path(&self.weights, step);
                    let mut aside = path.clone().into_os_string();
                    aside.push(DAMAGED);
                    fs::rename(&path, aside).map_err(|error| Error::writing(&path, error))?;
                }
                line::remove_grids_after(&self.samples, step) // they will be drawn again
            }
        }
    }

    /// The first checkpoint of a line is durable: what the line abandons goes, and its files take their places.
    ///
    /// # Errors
    /// [`Error::Storage`] where a file cannot be deleted or renamed.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        if self.is_staging {
            self.line.settle(&self.weights, &self.samples)?;
            self.is_staging = false;
        }
        Ok(())
    }

    /// Bytes of the files that [`RunDirectory::begin`] will remove of a run that had the name before.
    pub fn reclaimable(&self) -> u64 {
        if self.has_begun || self.beginning != Beginning::Forced {
            return 0;
        }
        let names = file_names(&self.weights).unwrap_or_default().into_iter().filter(|name| is_run_file(name));
        names.filter_map(|name| fs::metadata(self.weights.join(name)).ok()).map(|found| found.len()).sum()
    }

    /// How many checkpoints lie there beside those that the run will write.
    ///
    /// # Errors
    /// As [`RunDirectory::checkpoints`].
    pub fn present(&self) -> anyhow::Result<u64> {
        match self.is_new() && !self.has_begun {
            true => Ok(0),
            false => Ok(self.checkpoints()?.len() as u64),
        }
    }
}

/// Refuses a directory that does not take a file as large as a picture, while nothing in it has been changed.
fn prove_writable(directory: &Path) -> anyhow::Result<()> {
    const PICTURE: usize = 256 << 10;
    let path = directory.join(".writable");
    let written = fs::write(&path, vec![0; PICTURE]);
    let _ = fs::remove_file(&path);
    Ok(written.map_err(|error| Error::writing(directory, error))?)
}

/// What a run that begins has made; it is removed again where the run cannot begin.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn directory(&mut self, path: &Path) -> anyhow::Result<()> {
        let above = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let mut missing: Vec<PathBuf> = above.map(Path::to_path_buf).collect();
        missing.reverse();
        self.0.append(&mut missing);
        Ok(fs::create_dir_all(path).map_err(|error| Error::writing(path, error))?)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A directory goes only if it is empty: another process may have written to it.
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

fn remove_where(directory: &Path, condemned: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let names = file_names(directory).map_err(|error| Error::writing(directory, error))?;
    names
        .iter()
        .filter(|name| condemned(name))
        .map(|name| directory.join(name))
        .try_for_each(|path| line::remove(&path))
}
