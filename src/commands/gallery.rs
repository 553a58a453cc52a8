//! Goes through the pictures of a gallery once, some at a time, in constant memory: what `embed` and `predict` share.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::data::{DataOptions, Gallery, ImageShape, Images, Reach};
use crate::error::{self, Error};
use crate::report::Console;
use crate::run::StopRequest;

/// Pictures that are held at a time take at most so many bytes, ...
const HELD_BYTES: usize = 32 << 20;
/// ... and are so many at least and at most.
const HELD: (usize, usize) = (8, 128);
/// Broken pictures that a warning names.
const NAMED: usize = 5;

/// Which pictures, and what to do about broken ones.
#[derive(Clone, Debug, clap::Args)]
pub struct GalleryConfig {
    /// Pictures: a folder, at any depth, whose folders are classes if no picture lies directly in it; one picture; a .tar or
    /// .zip of pictures, or a directory of them; a directory of .parquet files; a named set or another directory that `--data`
    /// takes elsewhere. In the order of their paths
    pub data: String,

    /// Pass over pictures that cannot be decoded, with a warning
    #[arg(long)]
    pub skip_broken: bool,

    /// Directory of the named data sets [default: the user's cache directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Opens what `data` names; a download shows its progress.
pub fn open(data: &str, reach: Reach, data_dir: Option<PathBuf>, console: &Console) -> anyhow::Result<Gallery> {
    let bytes = console.bytes();
    let options = DataOptions { data_dir, ..DataOptions::default() };
    let gallery = Gallery::open(data, reach, &options, &|name, done, total| bytes.update(name, done, total));
    // The set is no flag here, where errors would call it one.
    let gallery = gallery.map_err(|error| match error.downcast::<Error>() {
        Ok(error @ (Error::Data { .. } | Error::DataElsewhere { .. })) => Error::Input(error.to_string()).into(),
        Ok(error) => error.into(),
        Err(error) => error,
    })?;
    drop(bytes);
    gallery.notes.iter().for_each(|note| console.note(note));
    Ok(gallery)
}

/// How to go through a gallery.
pub struct Walk<'a> {
    pub gallery: &'a Gallery,
    /// In which shape the pictures are wanted.
    pub shape: ImageShape,
    /// Whether pictures that cannot be decoded are passed over.
    pub skip_broken: bool,
    pub console: &'a Console,
    pub stop: &'a StopRequest,
}

impl Walk<'_> {
    /// Gives `take` the pictures in order, some at a time: their indices and their pixels.
    ///
    /// # Errors
    /// [`Error::Input`] with the first picture that cannot be decoded, unless they are passed over, and where none can;
    /// [`Error::Stopped`] where a signal came; those of `take`.
    pub fn for_each_batch(&self, mut take: impl FnMut(&[usize], &Images) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (total, mut broken) = (self.gallery.len(), Vec::new());
        let progress = self.console.items("pictures", total as u64);
        let size = (HELD_BYTES / self.shape.stride()).clamp(HELD.0, HELD.1);
        for start in (0..total).step_by(size) {
            if let Some(signal) = self.stop.signal() {
                bail!(Error::Stopped(signal));
            }
            let end = (start + size).min(total);
            let (mut indices, mut pixels) = (Vec::with_capacity(size), Vec::new());
            for (index, read) in (start..end).zip(self.gallery.read(start..end, self.shape)) {
                match read {
                    Ok(picture) => {
                        indices.push(index);
                        pixels.extend(picture);
                    }
                    Err(error) => {
                        self.console.detail(&error::text(&error));
                        broken.push((index, error));
                    }
                }
            }
            if let Some((_, error)) = broken.first().filter(|_| !self.skip_broken) {
                let text = error::text(error);
                bail!(Error::Input(format!("{text}\n--skip-broken passes over pictures that cannot be decoded")));
            }
            if !indices.is_empty() {
                take(&indices, &Images { pixels, ..Images::empty(self.shape) })?;
            }
            progress.set(end as u64);
        }
        progress.finish();
        self.say_broken(&broken.into_iter().map(|(index, _)| index).collect::<Vec<_>>())
    }

    fn say_broken(&self, broken: &[usize]) -> anyhow::Result<()> {
        let Some(first) = broken.first() else { return Ok(()) };
        let path = |index: &usize| self.gallery.entries[*index].path.as_str();
        if broken.len() == self.gallery.len() {
            let what = format!("cannot be decoded, nor can any other of {} pictures", broken.len());
            bail!(Error::reading(Path::new(path(first)), what));
        }
        let mut names: Vec<&str> = broken.iter().take(NAMED).map(path).collect();
        if broken.len() > NAMED {
            names.push("...");
        }
        let (count, names) = (broken.len(), error::legible(&names.join(", ")));
        let pictures = if count == 1 { "picture" } else { "pictures" };
        self.console.warning(&format!("{count} {pictures} passed over, which cannot be decoded: {names}"));
        Ok(())
    }
}
