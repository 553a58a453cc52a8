//! Everything that a person sees: messages, progress, the run log, grids, films and curves. Besides `main` this is
//! the only place that prints. It knows pixels and numbers, never tensors.

pub mod animation;
mod axis;
mod canvas;
pub mod census;
pub mod class_grid;
pub mod class_scores;
pub mod confusion;
#[cfg(feature = "cli")]
pub mod console;
pub mod contact_sheet;
pub mod csv;
pub mod curves;
pub mod embedding_map;
pub mod feature_scores;
pub mod features;
pub mod gan_curves;
pub mod grid;
#[cfg(feature = "cli")]
mod layout;
pub mod modes;
#[cfg(feature = "cli")]
pub mod monitor;
pub mod neighbours;
mod npy;
mod numbers;
mod palette;
pub mod png;
#[cfg(feature = "cli")]
pub mod progress;
pub mod records;
pub mod run_log;
pub mod scores;
pub mod simclr_curves;
pub mod table;
pub mod views_sheet;

pub use animation::{Animation, encode_gif, film};
pub use census::census_tables;
pub use class_grid::class_grid;
pub use class_scores::ClassScores;
pub use confusion::ConfusionMatrix;
#[cfg(feature = "cli")]
pub use console::{Console, ConsoleOptions, stdout_failure};
pub use contact_sheet::{ContactRow, contact_sheet};
pub use csv::csv_line;
pub use curves::{Chart, Curve};
pub use embedding_map::EmbeddingMap;
pub use feature_scores::{FeatureScores, FeatureScoresRow, feature_scores_table};
pub use features::{FeatureFormat, FeatureRow, FeatureWriter};
pub use gan_curves::gan_curves;
pub use grid::{Grid, Picture};
pub use modes::ModesRow;
#[cfg(feature = "cli")]
pub use monitor::{Monitor, Notice};
pub use neighbours::NeighbourRow;
pub use npy::npy_header;
pub use numbers::counted;
pub use png::{encode_png, read_png};
#[cfg(feature = "cli")]
pub use progress::{BytesProgress, Figure, ItemsProgress, TrainingProgress, TrainingStatus};
pub use records::{BestScore, Communication, Evaluation, GanRecord, ProbeRow, SimclrRecord, StepRecord};
pub use run_log::{KeptRecords, RunLog};
pub use scores::{GeneratorRow, Scores, scores_table, summary};
pub use simclr_curves::simclr_curves;
pub use table::probe_table;
pub use views_sheet::views_sheet;
