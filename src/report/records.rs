//! What the commands say in numbers, under the names that `metrics.jsonl` and `--json` share.
//!
//! JSON knows no NaN and no infinity: they are written as `null` and read back as NaN. Losses and scores are f32, as they
//! were computed: 1.3862944 stays that and does not become 1.3862943649291992.

use serde::{Deserialize, Serialize, Serializer};

use crate::checkpoint::header::number_or_null;
use crate::report::class_scores::ClassScores;
use crate::report::scores::Scores;

/// A logged step of GAN training.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct GanRecord {
    pub step: u64,
    pub epoch: u64,
    /// Since the start of the run; written to the millisecond.
    #[serde(serialize_with = "thousandths", deserialize_with = "number_or_null")]
    pub seconds: f64,
    /// Training images a second since the previous record, everything included; written to the tenth.
    #[serde(serialize_with = "tenths", deserialize_with = "number_or_null")]
    pub images_per_second: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub d_loss: f32,
    #[serde(deserialize_with = "number_or_null")]
    pub g_loss: f32,
    /// Mean of D's scores on real images, on the scale of its targets, 1 for real and 0 for fake: of their sigmoid, D's
    /// belief that they are real, where the loss is cross-entropy; else of the scores themselves, which aim at 1 and 0 for
    /// least squares, beyond 1 and -1 for hinge, and elsewhere mean something by their differences alone.
    #[serde(deserialize_with = "number_or_null")]
    pub real_score: f32,
    /// The same on fakes.
    #[serde(deserialize_with = "number_or_null")]
    pub fake_score: f32,
    /// The probability of each transformation of adaptive augmentation after this step, in runs that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augment_p: Option<f64>,
    /// At steps that were evaluated.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// Of a conditional GAN, at such steps.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub class_scores: Option<ClassScores>,
    /// At such steps.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// In several processes.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub communication: Option<Communication>,
}

/// What an evaluation has cost, and the best one so far.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// That it took, of which `seconds` of the next record has its part; written to the millisecond. As the times of a record,
    /// it differs from run to run.
    #[serde(serialize_with = "thousandths", deserialize_with = "number_or_null")]
    pub evaluate_seconds: f64,
    /// Of a run that keeps its best network.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestScore>,
}

/// The best evaluation so far.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct BestScore {
    /// By the measure that the run chooses by.
    pub best_score: f32,
    /// Steps done when it was made.
    pub best_step: u64,
}

/// What communication costs the first process in a step, on average since the previous record. As the times of a record, it
/// differs from run to run.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Communication {
    /// Sent to other processes.
    pub bytes_sent: u64,
    /// In which it sent and waited, and did nothing else; written to the microsecond.
    #[serde(serialize_with = "millionths", deserialize_with = "number_or_null")]
    pub seconds_waiting: f64,
}

/// A logged step of SimCLR pretraining.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SimclrRecord {
    pub step: u64,
    pub epoch: u64,
    /// Since the start of the run; written to the millisecond.
    #[serde(serialize_with = "thousandths", deserialize_with = "number_or_null")]
    pub seconds: f64,
    /// Training images a second since the previous record, everything included; written to the tenth. An image counts
    /// once, not once a view.
    #[serde(serialize_with = "tenths", deserialize_with = "number_or_null")]
    pub images_per_second: f64,
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f32,
    /// The learning rate of this step.
    #[serde(deserialize_with = "number_or_null")]
    pub lr: f64,
    /// Of this step's embeddings, as [`crate::metrics::alignment`] says.
    #[serde(deserialize_with = "number_or_null")]
    pub alignment: f32,
    /// Of this step's embeddings, as [`crate::metrics::uniformity`] says.
    #[serde(deserialize_with = "number_or_null")]
    pub uniformity: f32,
    /// The kNN accuracy of the features, a fraction of 1, at steps where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knn_top1: Option<f64>,
    /// At such steps.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// In several processes.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub communication: Option<Communication>,
}

/// What `finetune` finds of one encoder. Accuracies are fractions of 1.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ProbeRow {
    /// `pretrained` or `untrained`
    pub encoder: String,
    /// `linear` or `full`
    pub mode: String,
    /// How many labelled images it was trained on.
    pub labels: u64,
    pub top1: f64,
    pub top5: f64,
    pub knn: f64,
    /// Of training; written to the millisecond.
    #[serde(serialize_with = "thousandths")]
    pub seconds: f64,
}

/// A record of one step.
pub trait StepRecord {
    /// Its number; the first step is number 0.
    fn step(&self) -> u64;
}

impl StepRecord for GanRecord {
    fn step(&self) -> u64 {
        self.step
    }
}

impl StepRecord for SimclrRecord {
    fn step(&self) -> u64 {
        self.step
    }
}

fn millionths<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e6).round() / 1e6)
}

fn thousandths<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1000.0).round() / 1000.0)
}

fn tenths<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 10.0).round() / 10.0)
}
