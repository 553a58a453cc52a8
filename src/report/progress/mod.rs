//! How far the work has come: one line drawn over and over on a terminal, a plain line now and then elsewhere.

mod bytes;
mod gauge;
mod items;
mod training;

pub use bytes::BytesProgress;
pub use items::ItemsProgress;
pub use training::{Figure, TrainingProgress, TrainingStatus};
