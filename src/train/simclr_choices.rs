//! What `pretrain-simclr` chooses between.

use serde::{Deserialize, Serialize};

/// Which optimizer moves the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    Adam,
    /// Adam with a weight decay of its own (decoupled)
    Adamw,
    /// SGD with momentum
    Sgd,
    /// LARS: SGD with momentum and layer-wise learning rates, for large batches
    Lars,
}

/// How the two views of a batch go through the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ViewBatches {
    /// As one batch of 2N: batch norm sees both
    Joint,
    /// As two batches of N, one after the other, as in the course
    Separate,
}

/// Which images the kNN accuracy is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KnnReference {
    /// The data set's validation images, or a part of the training images that is held out (CIFAR-10's last 5000)
    Validation,
    /// The test images, for final results only
    #[default]
    Test,
}
