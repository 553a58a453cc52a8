//! Everything that a person sees: messages, progress, the run log, grids, films and curves. Besides `main` this is
//! the only place that prints. It knows pixels and numbers, never tensors.

pub mod animation;
mod axis;
mod canvas;
pub mod console;
pub mod curves;
pub mod grid;
mod layout;
pub mod npy;
pub mod png;
pub mod progress;
pub mod records;
pub mod run_log;
pub mod table;

pub use animation::{Animation, encode_gif, film};
pub use console::{Console, ConsoleOptions, stdout_failure};
pub use curves::{Chart, Curve};
pub use grid::{Grid, Picture};
pub use npy::npy_header;
pub use png::{encode_png, read_png};
pub use progress::{BytesProgress, Figure, ItemsProgress, TrainingProgress, TrainingStatus};
pub use records::{GanRecord, ProbeRow, SimclrRecord};
pub use run_log::RunLog;
pub use table::probe_table;

// STUBS
pub fn views_sheet(_: &[u8], _: &[u8], _: &[u8], _: usize) -> anyhow::Result<Picture> {
    Ok(Picture { width: 1, height: 1, channels: 1, pixels: vec![0] })
}
pub fn simclr_curves(_: &[SimclrRecord], _: &str) -> anyhow::Result<Picture> {
    Ok(Picture { width: 1, height: 1, channels: 1, pixels: vec![0] })
}
pub fn confusion_matrix(_: &[u64], _: &[String], _: &str) -> anyhow::Result<Picture> {
    Ok(Picture { width: 1, height: 1, channels: 1, pixels: vec![0] })
}
pub fn embedding_map(_: &[[f64; 2]], _: &[u8], _: &[String], _: &str) -> anyhow::Result<Picture> {
    Ok(Picture { width: 1, height: 1, channels: 1, pixels: vec![0] })
}
