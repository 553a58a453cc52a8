use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Serialize;

use super::EmbedConfig;
use super::config::Target;
use crate::checkpoint::atomic;
use crate::commands::gallery::Walk;
use crate::data::Gallery;
use crate::metrics;
use crate::pretrained::TrainedEncoder;
use crate::report::{self, Console, FeatureFormat, FeatureRow, FeatureWriter, counted, csv_line, npy_header};
use crate::run::StopRequest;

pub(super) struct Job<'a> {
    pub config: &'a EmbedConfig,
    pub gallery: &'a Gallery,
    pub encoder: &'a TrainedEncoder,
    pub json: bool,
    pub console: &'a Console,
    pub stop: StopRequest,
}

/// What was embedded.
#[derive(Default)]
struct Embedded {
    /// Of each row its picture in the gallery.
    pictures: Vec<usize>,
    /// The features of all rows where neighbours are asked for, else empty.
    features: Vec<f32>,
}

impl Job<'_> {
    /// Embeds and writes; returns the files.
    pub fn run(&self, target: Target) -> anyhow::Result<Vec<PathBuf>> {
        let mut embedded = Embedded::default();
        let mut written = Vec::new();
        match target {
            Target::Lines => self.embed(None::<FeatureWriter<io::Sink>>, &mut embedded)?,
            Target::Stdout(format) => {
                let streamed = self.writer(self.console.data_writer(), format);
                let streamed = streamed.and_then(|writer| self.embed(Some(writer), &mut embedded));
                streamed.map_err(|error| match error.downcast::<io::Error>() {
                    Ok(error) => report::stdout_failure(error).into(),
                    Err(error) => error,
                })?;
            }
            Target::File(path, format) => {
                atomic::write_file(path, |out| {
                    self.embed(Some(self.writer(&mut *out, format)?), &mut embedded)?;
                    if format == FeatureFormat::Npy && embedded.pictures.len() < self.gallery.len() {
                        out.rewind()?;
                        out.write_all(&npy_header(&[embedded.pictures.len() as u64, self.width() as u64]))?;
                    }
                    Ok(())
                })?;
                written.push(path.to_path_buf());
                if format == FeatureFormat::Npy {
                    written.push(self.write_paths(path, &embedded)?);
                }
            }
        }
        if let Some(k) = self.config.neighbours {
            let neighbours = self.neighbours(&embedded, k)?;
            if let Target::File(path, _) = target {
                written.push(self.write_neighbours(path, &embedded, &neighbours)?);
            }
            if self.json {
                self.neighbour_lines(target, &embedded, &neighbours)?;
            }
        }
        Ok(written)
    }

    fn width(&self) -> usize {
        self.encoder.source().encoder.features()
    }

    fn writer<W: Write + Send>(&self, out: W, format: FeatureFormat) -> anyhow::Result<FeatureWriter<W>> {
        FeatureWriter::new(out, format, self.gallery.len(), self.width())
    }

    fn embed<W: Write + Send>(
        &self,
        mut writer: Option<FeatureWriter<W>>,
        embedded: &mut Embedded,
    ) -> anyhow::Result<()> {
        let Self { config, gallery, console, .. } = *self;
        let shape = self.encoder.source().image_shape;
        let walk = Walk { gallery, shape, skip_broken: config.pictures.skip_broken, console, stop: &self.stop };
        walk.for_each_batch(|pictures, images| {
            let features = self.encoder.embed(images)?.flatten_all()?.to_vec1::<f32>()?; // (n, D)
            let rows = pictures.iter().zip(features.chunks_exact(self.width()));
            let rows: Vec<FeatureRow> = rows.map(|(picture, features)| self.row(*picture, features)).collect();
            if let Some(writer) = &mut writer {
                writer.write(&rows)?;
            }
            if self.json && config.neighbours.is_none() {
                for row in &rows {
                    let line = Line::new(row, writer.is_none());
                    console.data_line(&serde_json::to_string(&line)?)?;
                }
            }
            embedded.pictures.extend_from_slice(pictures);
            if config.neighbours.is_some() {
                embedded.features.extend(&features);
            }
            Ok(())
        })?;
        writer.map_or(Ok(()), FeatureWriter::finish)
    }

    fn row<'a>(&'a self, picture: usize, features: &'a [f32]) -> FeatureRow<'a> {
        let path = &self.gallery.entries[picture].path;
        FeatureRow { path, class: self.gallery.class_of(picture), features }
    }

    /// Of each row the rows nearest to it, with the cosines.
    fn neighbours(&self, embedded: &Embedded, k: usize) -> anyhow::Result<Vec<Vec<(u32, f32)>>> {
        let shape = (embedded.pictures.len(), self.width());
        let features = Tensor::from_slice(&embedded.features, shape, &Device::Cpu)?;
        if k >= shape.0 {
            let each = counted(shape.0 - 1, "neighbour");
            self.console.note(&format!("of {} each has {each}, not {k}", counted(shape.0, "picture")));
        }
        Ok(metrics::neighbours(&features, k)?)
    }

    fn path_of(&self, embedded: &Embedded, row: usize) -> &str {
        &self.gallery.entries[embedded.pictures[row]].path
    }

    /// Path and class of each row of a .npy.
    fn write_paths(&self, features: &Path, embedded: &Embedded) -> anyhow::Result<PathBuf> {
        let path = features.with_extension("paths.csv");
        atomic::write(&path, |out| {
            out.write_all(csv_line(["path", "class"]).as_bytes())?;
            embedded.pictures.iter().try_for_each(|picture| {
                let class = self.gallery.class_of(*picture).unwrap_or_default();
                out.write_all(csv_line([self.gallery.entries[*picture].path.as_str(), class]).as_bytes())
            })
        })?;
        Ok(path)
    }

    fn write_neighbours(
        &self,
        features: &Path,
        embedded: &Embedded,
        neighbours: &[Vec<(u32, f32)>],
    ) -> anyhow::Result<PathBuf> {
        let path = features.with_extension("neighbours.csv");
        atomic::write(&path, |out| {
            out.write_all(csv_line(["path", "rank", "neighbour", "similarity"]).as_bytes())?;
            for (row, nearest) in neighbours.iter().enumerate() {
                for (place, (other, cosine)) in nearest.iter().enumerate() {
                    let (rank, cosine) = ((place + 1).to_string(), cosine.to_string());
                    let paths = [row, *other as usize].map(|row| self.path_of(embedded, row));
                    out.write_all(csv_line([paths[0], &rank, paths[1], &cosine]).as_bytes())?;
                }
            }
            Ok(())
        })?;
        Ok(path)
    }

    /// The lines of `--json`, which wait for the neighbours.
    fn neighbour_lines(
        &self,
        target: Target,
        embedded: &Embedded,
        neighbours: &[Vec<(u32, f32)>],
    ) -> anyhow::Result<()> {
        let features = embedded.features.chunks_exact(self.width());
        for ((picture, features), nearest) in embedded.pictures.iter().zip(features).zip(neighbours) {
            let neighbour = |&(other, similarity): &(u32, f32)| NeighbourLine {
                path: self.path_of(embedded, other as usize),
                similarity,
            };
            let neighbours = Some(nearest.iter().map(neighbour).collect());
            let line = Line { neighbours, ..Line::new(&self.row(*picture, features), target == Target::Lines) };
            self.console.data_line(&serde_json::to_string(&line)?)?;
        }
        Ok(())
    }
}

/// A row as a line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbours: Option<Vec<NeighbourLine<'a>>>,
}

#[derive(Serialize)]
struct NeighbourLine<'a> {
    path: &'a str,
    similarity: f32,
}

impl<'a> Line<'a> {
    /// With its features where they are in no file.
    fn new(row: &FeatureRow<'a>, with_features: bool) -> Self {
        let features = with_features.then_some(row.features);
        Self { path: row.path, class: row.class, features, neighbours: None }
    }
}
