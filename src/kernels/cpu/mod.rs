//! The machinery of the CPU's kernels: matrix products, Winograd's convolutions, parallel loops, vectors.

pub mod epilogue;
pub mod matrix;
pub mod parallel;
pub mod simd;
pub mod spinning;
pub mod stream;
pub mod transpose;
mod turn;
pub mod winograd;

pub use parallel::scratch;
pub use simd::vectorised;
