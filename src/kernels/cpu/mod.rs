//! The machinery of the CPU's kernels: matrix products, Winograd's convolutions, parallel loops, vectors.

pub mod activation;
pub mod convolution;
pub mod epilogue;
pub mod exponential;
pub mod matrix;
pub mod parallel;
mod patches;
pub mod simd;
pub mod stream;
pub mod transpose;
mod turn;
mod window;
pub mod winograd;

pub use parallel::scratch;
pub use simd::vectorised;
