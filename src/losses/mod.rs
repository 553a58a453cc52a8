//! Losses: pure functions, tensors in, a scalar out. They know no network.

pub mod adversarial;
pub mod classification;
pub mod gradient_penalty;
pub mod nt_xent;
