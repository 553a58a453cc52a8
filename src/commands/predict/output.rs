use std::io::{self, Write};

use serde::Serialize;

use crate::data::Gallery;
use crate::error::legible;
use crate::report::csv_line;

/// What a picture shows.
pub(super) struct Prediction<'a> {
    pub path: &'a str,
    /// The class that its folder says.
    pub class: Option<&'a str>,
    /// The most probable classes with their probabilities.
    pub best: Vec<(&'a str, f32)>,
}

/// How predictions are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// For people.
    Table {
        /// Characters of a path and of a class.
        widths: (usize, usize),
    },
    Lines,
    Csv {
        top: usize,
        has_classes: bool,
    },
}

impl Format {
    /// A table with room for the longest names.
    pub fn table(gallery: &Gallery, classes: &[String]) -> Self {
        let longest = |names: &mut dyn Iterator<Item = &String>| names.map(|name| legible(name).chars().count()).max();
        let path = longest(&mut gallery.entries.iter().map(|entry| &entry.path)).unwrap_or(0);
        Self::Table { widths: (path, longest(&mut classes.iter()).unwrap_or(0)) }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    class: Option<&'a str>,
    predicted: &'a str,
    probability: f32,
    top: Vec<Candidate<'a>>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    class: &'a str,
    probability: f32,
}

pub(super) struct Output<'a> {
    pub out: &'a mut dyn Write,
    pub format: Format,
}

impl Output<'_> {
    /// Writes what stands before the predictions.
    pub fn begin(&mut self) -> io::Result<()> {
        let Format::Csv { top, has_classes } = self.format else { return Ok(()) };
        let mut names = vec!["path".to_string(), "predicted".into(), "probability".into()];
        names.extend((2..=top).flat_map(|place| [format!("predicted_{place}"), format!("probability_{place}")]));
        names.extend(has_classes.then(|| "class".to_string()));
        self.out.write_all(csv_line(names.iter().map(String::as_str)).as_bytes())
    }

    pub fn write(&mut self, prediction: &Prediction) -> io::Result<()> {
        let Prediction { path, class, best } = prediction;
        let text = match self.format {
            Format::Table { widths: (of_path, of_class) } => {
                let cells = best.iter().map(|(class, probability)| {
                    format!("  {:<of_class$}  {:>5.1} %", legible(class), 100.0 * probability)
                });
                format!("{:<of_path$}{}\n", legible(path), cells.collect::<String>())
            }
            Format::Lines => {
                let top = best.iter().map(|&(class, probability)| Candidate { class, probability });
                let (predicted, probability) = best.first().copied().unwrap_or_default();
                let line = Line { path, class: *class, predicted, probability, top: top.collect() };
                serde_json::to_string(&line)? + "\n"
            }
            Format::Csv { has_classes, .. } => {
                let mut fields = vec![path.to_string()];
                fields
                    .extend(best.iter().flat_map(|(class, probability)| [class.to_string(), probability.to_string()]));
                fields.extend(has_classes.then(|| class.unwrap_or_default().to_string()));
                csv_line(fields.iter().map(String::as_str))
            }
        };
        self.out.write_all(text.as_bytes())
    }
}
