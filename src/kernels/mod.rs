//! What computes on plain memory: below the ops, and without a notion of gradients.

#![allow(unsafe_code)]

pub mod activation;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod exclusion;
pub mod precision;
pub mod storage;
pub mod window;
