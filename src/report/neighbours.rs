//! How far samples are from the training images nearest to them, where nothing else is measured of them.

use std::fmt;

use serde::Serialize;

/// A row of `gan evaluate --json`: of a generator whose images no classifier fits.
#[derive(Serialize, Clone, Debug)]
pub struct NeighbourRow {
    pub weights: String,
    pub data: String,
    /// `test`, or the training images A..B
    pub reference: String,
    pub seed: u64,
    /// Samples.
    pub n: u64,
    /// Mean distance of pixels, in [-1, 1], to the nearest training image: of samples, and of reference images.
    pub nearest_train: f64,
    pub nearest_train_reference: f64,
}

impl fmt::Display for NeighbourRow {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { nearest_train, nearest_train_reference, n, reference, .. } = self;
        write!(
            f,
            "mean distance to the nearest training image: {nearest_train:.3} of {n} samples, \
             {nearest_train_reference:.3} of the {reference}"
        )
    }
}
