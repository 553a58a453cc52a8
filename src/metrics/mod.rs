//! How good features and predictions are: pure functions on tensors, results as plain numbers on the host.
//!
//! Nothing here depends on the number of threads: rows are independent, and sums over them are added in their order.

pub mod accuracy;
pub mod classes;
pub mod distances;
pub mod embedding;
pub mod frechet;
pub mod inception_score;
pub mod kid;
pub mod knn;
pub mod neighbours;
mod numpy_random;
pub mod prdc;
pub mod projection;
mod symmetric;
pub mod tsne;

pub use accuracy::{confusion, predictions, top_k};
pub use classes::{class_divergence, classes_above, classifier_score, histogram};
pub use distances::{Nearest, Points, nearest_rows};
pub use embedding::{alignment, uniformity, unit_rows};
pub use frechet::{Gaussian, frechet_distance};
pub use inception_score::{InceptionScore, inception_score};
pub use kid::{Kid, KidPlan, kid};
pub use knn::Knn;
pub use neighbours::neighbours;
pub use prdc::{Neighbourhoods, neighbourhoods};
pub use projection::{Pca, pca};
pub use tsne::tsne;

use candle_core::{DType, Device, Result, Tensor};

/// The values of a matrix (N, D) on the host, in f32 and row-major, with N and D. The host waits for the device.
fn host_rows(matrix: &Tensor) -> Result<(Vec<f32>, usize, usize)> {
    let (rows, columns) = matrix.dims2()?;
    let values = matrix.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok((values, rows, columns))
}
