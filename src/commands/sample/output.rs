use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::bail;
use rayon::prelude::*;

use super::{Format, SampleConfig};
use crate::checkpoint::atomic;
use crate::commands::sample::class;
use crate::commands::sample::directory::{Stale, name};
use crate::commands::sample::walk::interpolate;
use crate::distributed::{Communicator, Rounds};
use crate::error::{Error, mebibytes};
use crate::image_shape::ImageShape;
use crate::pretrained::{self, Latents, SampleClasses, TrainedGenerator};
use crate::report::{self, Console, Grid, npy_header};
use crate::run::StopRequest;

/// What was written, for stdout and `--json`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Produced {
    pub path: String,
    pub n: u64,
    pub weights: PathBuf,
}

/// Draws what `config` asks for from `generator`, which the `processes` share, and writes it in the first of them.
pub fn produce(
    config: &SampleConfig,
    generator: &TrainedGenerator,
    processes: &dyn Communicator,
    console: &Console,
) -> anyhow::Result<Produced> {
    let format = config.format()?;
    if config.to_stdout() && console.stdout_is_terminal() {
        bail!(Error::Usage("-o -: stdout is a terminal; pipe it, or name a file with -o".into()));
    }
    let names = generator.class_names();
    let classes = class::choose(config.class.as_deref(), names)?;
    config.refuse_layout_of(classes)?;
    if let SampleClasses::InTurn { classes } = classes {
        console.note(&format!("the generator is conditional: its {classes} classes in turn; --class chooses"));
    }
    let latents = match &config.latents {
        Some(path) => Latents::read(path, generator.latent_dim())?,
        None => Latents::Drawn { seed: config.seed, space: generator.latent_space() },
    };
    let count = config.count(format, classes, latents.rows())?;
    let job = Job { config, generator, latents, classes, count, processes, console, stop: StopRequest::listen()? };
    // Refused in all processes, before any begins.
    let stale = job.check(format)?;
    match format {
        _ if processes.rank() > 0 => job.help(format)?,
        Format::Directory => job.directory(stale)?,
        _ if config.to_stdout() => {
            let mut out = console.data_writer();
            let outcome = job.stream(format, &mut out).and_then(|()| Ok(out.flush()?));
            outcome.map_err(|error| match error.downcast::<io::Error>() {
                Ok(error) => report::stdout_failure(error).into(),
                Err(error) => error,
            })?;
        }
        _ => job.file(format)?,
    }
    Ok(Produced { path: config.output.clone(), n: count, weights: generator.origin().path.clone() })
}

struct Job<'a> {
    config: &'a SampleConfig,
    generator: &'a TrainedGenerator,
    latents: Latents,
    classes: SampleClasses,
    count: u64,
    processes: &'a dyn Communicator,
    console: &'a Console,
    stop: StopRequest,
}

impl Job<'_> {
    /// Draws this process's share for the one that writes.
    fn help(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Gif => self.frames().try_for_each(|frame| frame.map(drop)),
            _ => self.for_each_tile(|_, _| Ok(())),
        }
    }

    /// Refuses what cannot be written. Of a directory, the samples in it that will not be written again.
    fn check(&self, format: Format) -> anyhow::Result<Option<Stale<'_>>> {
        match (format, self.config.offset) {
            (Format::Npy, _) if !self.config.to_stdout() => self.refuse_without_space().map(|()| None),
            // Of a share, what lies there is the others'. A call of its own leaves what it says, and nothing else.
            (Format::Directory, None) => {
                let stale = Stale::find(Path::new(&self.config.output), self.count)?;
                if !self.config.force {
                    stale.refuse()?;
                }
                Ok(Some(stale))
            }
            _ => Ok(None),
        }
    }

    /// Replaces the file in one step.
    fn file(&self, format: Format) -> anyhow::Result<()> {
        atomic::write_file(Path::new(&self.config.output), |out| self.stream(format, out))
    }

    /// [`Error::Storage`] where the disk has no room for the array.
    fn refuse_without_space(&self) -> anyhow::Result<()> {
        let path = Path::new(&self.config.output);
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let needed = self.count.saturating_mul(4 * self.shape().stride() as u64);
        match crate::file_system::free_bytes(directory) {
            Some(free) if needed > free => {
                let text = format!("{} are needed, and {} are free", mebibytes(needed), mebibytes(free));
                bail!(Error::writing(path, text))
            }
            _ => Ok(()),
        }
    }

    fn stream(&self, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
        match format {
            Format::Png => {
                let mut images = Vec::with_capacity(self.count as usize * self.shape().stride());
                self.for_each_tile(|_, tile| {
                    images.extend_from_slice(tile);
                    Ok(())
                })?;
                let picture = match self.classes {
                    SampleClasses::Each { classes } => {
                        let (images, names) = (self.by_class(&images, classes), self.generator.class_names());
                        report::class_grid(&images, names, self.grid(), self.shape())?
                    }
                    _ => self.grid().draw(&images, self.count as usize, self.shape()),
                };
                Ok(report::encode_png(&picture, out)?)
            }
            Format::Gif => self.walk(out),
            Format::Npy => {
                let shape = self.shape();
                let [channels, height, width] = [shape.channels, shape.height, shape.width].map(|length| length as u64);
                out.write_all(&npy_header(&[self.count, channels, height, width]))?;
                let mut bytes = Vec::with_capacity(pretrained::tile(shape) * shape.stride() * 4);
                self.for_each_tile(|_, tile| {
                    bytes.clear();
                    bytes.extend(shape.channels_first(tile).iter().flat_map(|value| value.to_le_bytes()));
                    Ok(out.write_all(&bytes)?)
                })
            }
            Format::Directory => bail!("a directory cannot be streamed"),
        }
    }

    fn shape(&self) -> ImageShape {
        self.generator.image_shape()
    }

    fn grid(&self) -> Grid {
        Grid { columns: self.config.columns, scale: self.config.scale(Format::Png), ..Grid::default() }
    }

    /// Images of all classes in turn, class after class.
    fn by_class(&self, images: &[f32], classes: usize) -> Vec<f32> {
        let columns = self.count as usize / classes;
        let stride = self.shape().stride();
        let places = (0..classes).flat_map(|class| (0..columns).map(move |column| column * classes + class));
        places.flat_map(|sample| &images[sample * stride..][..stride]).copied().collect()
    }

    /// Draws the samples in order, in constant memory: `take` gets the number of the first and the images, (n, H, W, C). In
    /// a process that does not write it gets none.
    fn for_each_tile(&self, mut take: impl FnMut(u64, &[f32]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (begin, end) = (self.config.offset(), self.config.offset() + self.count);
        let progress = self.console.items("images", self.count);
        let (tile, stride) = (pretrained::tile(self.shape()), self.shape().stride());
        let draw = |range: Range<u64>| {
            // On a CPU, what is asked for. Elsewhere whole tiles, where they would lie from sample 0: an offset must not move
            // a sample within its tile.
            let (first, last) = match self.generator.device().is_cpu() {
                true => (range.start, range.end),
                false => {
                    let first = range.start - range.start % tile as u64;
                    let samples = self.latents.rows().map_or(u64::MAX, |rows| self.classes.samples(rows));
                    (first, (first + tile as u64).min(samples))
                }
            };
            let mut images =
                self.generator.draw(&self.classes.inputs(&self.latents, first, (last - first) as usize))?;
            images.truncate((range.end - first) as usize * stride);
            images.drain(..(range.start - first) as usize * stride);
            Ok(images)
        };
        let mut rounds = Rounds::new(self.processes, begin..end, tile, stride);
        while let Some((range, images)) = rounds.next(|next| self.signal_before(next, end), draw)? {
            take(range.start, &images)?;
            progress.set(range.end - begin);
        }
        progress.finish();
        rounds.stopped().map_or(Ok(()), |signal| Err(Error::Stopped(signal).into()))
    }

    /// The signal that came, 0 if none did, where there is anything left to be drawn.
    fn signal_before(&self, next: u64, end: u64) -> i32 {
        self.stop.signal().filter(|_| next < end).unwrap_or(0)
    }

    /// One PNG an image, named by the number of the sample, so that shares of a large job can meet in one directory.
    fn directory(&self, stale: Option<Stale>) -> anyhow::Result<()> {
        let directory = Path::new(&self.config.output);
        std::fs::create_dir_all(directory).map_err(|error| Error::writing(directory, error))?;
        let grid = Grid { columns: Some(1), scale: self.config.scale(Format::Directory), gap: 0 };
        self.for_each_tile(|first, tile| {
            if let Some(stale) = stale.as_ref().filter(|_| first == 0) {
                stale.remove()?;
            }
            tile.par_chunks(self.shape().stride()).enumerate().try_for_each(|(index, image)| {
                let path = directory.join(name(first + index as u64));
                let picture = grid.draw(image, 1, self.shape());
                atomic::write_unsynced(&path, |out| report::encode_png(&picture, out))
            })
        })
    }

    /// Walks side by side, each from latent to latent and back to its first.
    fn walk(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (walks, grid) = (self.config.walks(self.classes), self.grid());
        let progress = self.console.items("frames", self.count / walks as u64 * self.config.frames as u64);
        let mut failure = None;
        let pictures = self.frames().enumerate().map_while(|(number, images)| {
            progress.set(number as u64 + 1);
            let images = images.map_err(|error| failure = Some(error)).ok()?;
            Some(grid.draw(&images, walks, self.shape()))
        });
        report::encode_gif(pictures, 8, out)?;
        progress.finish();
        failure.map_or(Ok(()), Err)
    }

    /// The images of each frame of the walks, side by side. In a process that does not write there are none.
    fn frames(&self) -> impl Iterator<Item = anyhow::Result<Vec<f32>>> {
        let (walks, frames) = (self.config.walks(self.classes), self.config.frames);
        let keys = self.count as usize / walks;
        let dim = self.latents.latent_dim();
        let samples = self.config.offset()..self.config.offset() + self.count;
        let latents: Vec<f32> =
            samples.flat_map(|sample| self.latents.range(self.classes.latent_of(sample), 1)).collect();
        let draw = move |frame: Range<u64>| {
            let frame = frame.start as usize;
            let key = |index: usize, walk: usize| &latents[((index % keys) * walks + walk) * dim..][..dim];
            let t = (frame % frames) as f32 / frames as f32;
            let at = |walk| interpolate(key(frame / frames, walk), key(frame / frames + 1, walk), t, self.config.walk);
            let latents: Vec<f32> = (0..walks).flat_map(at).collect();
            // A walk stays in its class.
            Ok(self.generator.draw(&self.classes.append_to(latents, dim, 0..walks as u64))?)
        };
        let count = (keys * frames) as u64;
        let mut rounds = Rounds::new(self.processes, 0..count, 1, walks * self.shape().stride());
        std::iter::from_fn(move || match rounds.next(|next| self.signal_before(next, count), &draw) {
            Ok(Some((_, images))) => Some(Ok(images)),
            Ok(None) => rounds.stopped().map(|signal| Err(Error::Stopped(signal).into())),
            Err(error) => Some(Err(error)),
        })
    }
}
