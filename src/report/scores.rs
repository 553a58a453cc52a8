//! The scores of a generator, under the names that `--json` and `metrics.jsonl` share, and as a table.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::header::number_or_null;
use crate::report::class_scores::ClassScores;
use crate::report::numbers::grouped;
use crate::report::table::aligned;

/// What samples are held against real images by, all on the features and classes of a digit classifier; none is an
/// Inception figure.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Squared, as the FID is.
    #[serde(deserialize_with = "number_or_null")]
    pub frechet: f64,
    /// That of as many training images.
    #[serde(deserialize_with = "number_or_null")]
    pub frechet_floor: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub kid: f64,
    pub precision: f64,
    pub recall: f64,
    pub density: f64,
    pub coverage: f64,
    pub classifier_score: f64,
    /// KL(samples || real) of the histograms of classes, in nats.
    #[serde(deserialize_with = "number_or_null")]
    pub class_divergence: f64,
    pub classes_above_3_percent: u64,
    pub two_sample_1nn: f64,
}

/// A row of `gan evaluate --json`: a generator's scores under one seed.
#[derive(Serialize, Clone, Debug)]
pub struct GeneratorRow {
    pub weights: String,
    pub data: String,
    /// `test`, or the training images A..B
    pub reference: String,
    /// What made the features, and the SHA-256 of its file.
    pub features: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features_sha256: Option<String>,
    /// The same network, which told the classes.
    pub classifier: String,
    /// Top-1 of the classifier on the reference images, where they are labelled, a fraction of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_accuracy: Option<f64>,
    pub seed: u64,
    /// Samples.
    pub n: u64,
    pub reference_images: u64,
    /// Training images that the floor is of.
    pub floor_images: u64,
    /// As many of each as precision to coverage and the test of two samples compare.
    pub compared: u64,
    #[serde(flatten)]
    pub scores: Scores,
    /// Fréchet distance over its floor.
    pub frechet_ratio: f64,
    /// The standard deviation of KID between its subsets.
    pub kid_spread: f64,
    /// Samples taken for each class.
    pub histogram: Vec<u64>,
    /// Of a conditional generator.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub class_scores: Option<ClassScores>,
    /// Mean distance of pixels, in [-1, 1], to the nearest training image, where it was looked for: of samples, and of
    /// reference images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_train: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_train_reference: Option<f64>,
    /// The classifier score of the reference images.
    pub classifier_score_reference: f64,
    /// The same measures of the training images.
    pub training_images: Scores,
}

/// Numbers by name with their mean and their standard deviation over seeds (n - 1 in the denominator), as `--json` adds
/// them where there is more than one row. What is no number is left out, and so is the seed.
pub fn summary<R: Serialize>(rows: &[R], seeds: &[u64]) -> serde_json::Result<Value> {
    let rows: Vec<Value> = rows.iter().map(serde_json::to_value).collect::<serde_json::Result<_>>()?;
    let (mut means, mut spreads) = (serde_json::Map::new(), serde_json::Map::new());
    let names = rows.first().and_then(Value::as_object).into_iter().flat_map(|row| row.keys());
    for name in names.filter(|name| *name != "seed") {
        let values: Vec<f64> = rows.iter().filter_map(|row| row[name].as_f64()).collect();
        if values.len() == rows.len() {
            let (mean, spread) = mean_and_spread(&values);
            means.insert(name.clone(), mean.into());
            spreads.insert(name.clone(), spread.into());
        }
    }
    Ok(serde_json::json!({ "seeds": seeds, "mean": means, "spread": spreads }))
}

/// The mean, and the standard deviation with n - 1 in the denominator; 0 of a single value.
pub fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (values.len() - 1) as f64).sqrt() } else { 0.0 })
}

/// A measure: its name for people, its value of a row, and its decimals.
type Measure = (&'static str, fn(&Scores) -> f64, usize);

const MEASURES: [Measure; 10] = [
    ("Fréchet distance", |s| s.frechet, 3),
    ("times the floor", |s| s.frechet / s.frechet_floor, 2),
    ("KID, x 1000", |s| 1000.0 * s.kid, 3),
    ("precision", |s| s.precision, 3),
    ("recall", |s| s.recall, 3),
    ("density", |s| s.density, 3),
    ("coverage", |s| s.coverage, 3),
    ("classifier score", |s| s.classifier_score, 3),
    ("class divergence", |s| s.class_divergence, 4),
    ("1-NN two-sample", |s| s.two_sample_1nn, 3),
];

/// The rows of one generator, a column a seed, with their mean and spread where there are more than one, beside the same
/// measures of training images; and what they are, in words. No line break at the end.
pub fn scores_table(rows: &[GeneratorRow]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let several = rows.len() > 1;
    let mut heading = vec![String::new()];
    heading.extend(rows.iter().map(|row| if several { format!("seed {}", row.seed) } else { "samples".into() }));
    if several {
        heading.extend(["mean".to_string(), "spread".to_string()]);
    }
    heading.push("training images".into());
    let mut table = vec![heading];
    let classes: Measure = ("classes above 3 %", |s| s.classes_above_3_percent as f64, 0);
    for (name, value, decimals) in MEASURES.into_iter().chain([classes]) {
        let values: Vec<f64> = rows.iter().map(|row| value(&row.scores)).collect();
        let mut line = vec![name.to_string()];
        line.extend(values.iter().map(|value| format!("{value:.decimals$}")));
        if several {
            let (mean, spread) = mean_and_spread(&values);
            line.extend([mean, spread].map(|value| format!("{value:.0$}", decimals.max(1))));
        }
        line.push(format!("{:.decimals$}", value(&first.training_images)));
        table.push(line);
    }
    let shares = |row: &GeneratorRow| {
        let share = |count: &u64| format!("{:.1}", 100.0 * *count as f64 / row.n as f64);
        row.histogram.iter().map(share).collect::<Vec<_>>().join(" ")
    };
    let mut text = aligned(&table, 1);
    for row in rows {
        let whose = if several { format!(", seed {}", row.seed) } else { String::new() };
        text += &format!("\nclasses in order, %{whose}: {}", shares(row));
        if let Some(scores) = &row.class_scores {
            text += &format!("\n{}", scores.lines(&whose));
        }
    }
    if let (Some(samples), Some(reference)) = (first.nearest_train, first.nearest_train_reference) {
        text += &format!("\nmean distance to the nearest training image: {samples:.2}, of real images {reference:.2}");
    }
    text + "\n" + &explanation(first)
}

fn explanation(row: &GeneratorRow) -> String {
    let accuracy = row.classifier_accuracy.map(|part| format!(", accuracy {:.2} %", 100.0 * part));
    format!(
        "{} samples and {} training images, each against {} real images of {} ({});\nfeatures and classes by {}{}{}.\nThese \
         are not Inception figures (no FID, no Inception score): compare them only with those of this classifier.",
        grouped(row.n as f64),
        grouped(row.floor_images as f64),
        grouped(row.reference_images as f64),
        row.data,
        row.reference,
        row.classifier,
        row.features_sha256.as_ref().map(|hash| format!(" (SHA-256 {})", &hash[..8])).unwrap_or_default(),
        accuracy.unwrap_or_default(),
    )
}
