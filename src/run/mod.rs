//! A run's life, once for every way of training: configuration, creation, resuming, lock, disk, log, checkpoints, signals,
//! end.
//!
//! - [`Run`]: a new run, or one to go on with. Nothing on the disk is changed before [`Session::begin`].
//! - [`Session`]: a run in training. A loop asks it what is due.
//! - [`Clock`]: the steps of a loop; alone, for training that keeps no run.

mod agreement;
mod begin;
mod best;
mod clock;
mod directory;
pub mod disk_space;
pub mod line;
mod lock;
mod newest;
mod open;
mod options;
mod places;
mod position;
mod resume;
mod save;
mod saves;
mod session;
mod signals;
mod value;

pub use best::{BestNetwork, BestSoFar};
pub use clock::{Clock, Mark, Timetable};
pub use directory::{RunDirectory, RunPlace};
pub use newest::Newest;
pub use open::Run;
pub use options::RunOptions;
pub use places::Places;
pub use position::Position;
pub use resume::resume;
pub use save::Snapshot;
pub use session::Session;
pub use signals::StopRequest;
use value::as_typed;
