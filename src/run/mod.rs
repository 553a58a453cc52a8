//! A run's life: configuration, creation, resuming, lock, disk, log, checkpoints, signals.

mod begin;
mod directory;
pub mod disk_space;
pub mod files;
pub mod header;
pub mod images;
pub mod life;
pub mod line;
mod lock;
pub mod resume;
pub mod saves;
pub mod signals;
pub mod state;

pub use directory::{Newest, RunDirectory};
pub use files::{Run as KnownRun, runs};
