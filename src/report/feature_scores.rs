//! The scores of images on the features of a network that was not made for them, such as Inception's: as `--json` has them,
//! and as a table.

use serde::Serialize;

use crate::report::numbers::grouped;
use crate::report::scores::mean_and_spread;
use crate::report::table::aligned;

/// What samples are held against real images by, on features that are named beside them.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct FeatureScores {
    /// Squared. On the features of Inception it is the FID.
    pub frechet: f64,
    /// That of as many training images; `None` where all of them are reference images, and of the training images.
    pub frechet_floor: Option<f64>,
    /// On the features of Inception it is called KID.
    pub kid: f64,
    pub precision: f64,
    pub recall: f64,
    pub density: f64,
    pub coverage: f64,
    /// Where the network is Inception and there are ten images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score: Option<f64>,
    pub two_sample_1nn: f64,
}

/// A row of `gan evaluate --features --json`: the scores of images under one seed.
#[derive(Serialize, Clone, Debug)]
pub struct FeatureScoresRow {
    pub weights: String,
    pub data: String,
    /// `test`, or the training images A..B
    pub reference: String,
    /// What made the features.
    pub features: String,
    /// The SHA-256 of its file.
    pub features_sha256: String,
    pub seed: u64,
    /// Samples.
    pub n: u64,
    pub reference_images: u64,
    /// Training images that the floor is of.
    pub floor_images: u64,
    /// As many of each as precision to coverage and the test of two samples compare.
    pub compared: u64,
    #[serde(flatten)]
    pub scores: FeatureScores,
    /// Fréchet distance over its floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frechet_ratio: Option<f64>,
    /// The standard deviation of KID between its subsets.
    pub kid_spread: f64,
    /// That of the Inception score between its parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score_spread: Option<f64>,
    /// The Inception score of the reference images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score_reference: Option<f64>,
    /// Mean distance of pixels, in [-1, 1], to the nearest training image, where it was looked for: of samples, and of
    /// reference images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_train: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_train_reference: Option<f64>,
    /// The same measures of training images that are not of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_images: Option<FeatureScores>,
}

/// A measure: its name for people, its value of a row, and its decimals.
type Measure = (&'static str, fn(&FeatureScores) -> Option<f64>, usize);

const MEASURES: [Measure; 9] = [
    ("Fréchet distance", |s| Some(s.frechet), 3),
    ("times the floor", |s| Some(s.frechet / s.frechet_floor?), 2),
    ("KID, x 1000", |s| Some(1000.0 * s.kid), 3),
    ("Inception score", |s| s.inception_score, 3),
    ("precision", |s| Some(s.precision), 3),
    ("recall", |s| Some(s.recall), 3),
    ("density", |s| Some(s.density), 3),
    ("coverage", |s| Some(s.coverage), 3),
    ("1-NN two-sample", |s| Some(s.two_sample_1nn), 3),
];

/// The rows of one set of images, a column a seed, with their mean and spread where there are more than one, beside the same
/// measures of training images; and what they are, in words. No line break at the end.
pub fn feature_scores_table(rows: &[FeatureScoresRow]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let several = rows.len() > 1;
    let mut heading = vec![String::new()];
    heading.extend(rows.iter().map(|row| if several { format!("seed {}", row.seed) } else { "samples".into() }));
    if several {
        heading.extend(["mean".to_string(), "spread".to_string()]);
    }
    heading.extend(first.training_images.map(|_| "training images".to_string()));
    let mut table = vec![heading];
    for (name, value, decimals) in MEASURES {
        let values: Vec<f64> = rows.iter().filter_map(|row| value(&row.scores)).collect();
        if values.len() < rows.len() {
            continue;
        }
        let mut line = vec![name.to_string()];
        line.extend(values.iter().map(|value| format!("{value:.decimals$}")));
        if several {
            let (mean, spread) = mean_and_spread(&values);
            line.extend([mean, spread].map(|value| format!("{value:.decimals$}")));
        }
        // The floor of training images is their own distance.
        let of_training =
            first.training_images.map(|scores| FeatureScores { frechet_floor: Some(scores.frechet), ..scores });
        line.extend(of_training.map(|scores| value(&scores).map_or("-".into(), |value| format!("{value:.decimals$}"))));
        table.push(line);
    }
    let mut text = aligned(&table, 1);
    if let (Some(samples), Some(reference)) = (first.nearest_train, first.nearest_train_reference) {
        text += &format!("\nmean distance to the nearest training image: {samples:.2}, of real images {reference:.2}");
    }
    text + "\n" + &explanation(first)
}

fn explanation(row: &FeatureScoresRow) -> String {
    let floor = match row.training_images {
        Some(_) => format!(" and {} training images, each", grouped(row.floor_images as f64)),
        None => String::new(),
    };
    format!(
        "{} samples{floor} against {} real images of {} ({});\nfeatures by {} (SHA-256 {}): compare these figures only with \
         others of the same features.",
        grouped(row.n as f64),
        grouped(row.reference_images as f64),
        row.data,
        row.reference,
        row.features,
        &row.features_sha256[..row.features_sha256.len().min(8)],
    )
}
