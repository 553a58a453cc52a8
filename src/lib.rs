//! Train GANs (vanilla, least-squares, DCGAN) and SimCLR, sample from them and fine-tune on them, on candle.

// The kernels (`ops`, and the one of `data::augment` on CUDA) and what a process asks of its system (`startup`) allow it.
#![deny(unsafe_code)]

pub mod checkpoint;
pub mod data;
pub mod device;
pub mod error;
pub mod eval;
pub mod evaluate;
pub mod layers;
pub mod losses;
pub mod models;
pub mod ops;
pub mod optim;
pub mod params;
pub mod report;
pub mod rng;
pub mod sample;
pub mod startup;
pub mod train;
