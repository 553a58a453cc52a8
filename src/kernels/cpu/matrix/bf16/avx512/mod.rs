//! The instructions of x86-64.

mod convert;
mod kernel;

pub use convert::{pairs_across, pairs_along};

/// Whether this CPU has them.
pub fn are_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}
