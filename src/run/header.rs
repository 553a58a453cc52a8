//! The keys of the header entries of our files.

/// Where a run has come to.
pub const STATE: &str = "gan.state";
/// The configuration, in checkpoints and in networks for use.
pub const CONFIG: &str = "gan.config";
/// What the network is that the file is for ([`crate::models::NetworkDescription`]), in networks for use. Files from before
/// lack it.
pub const NETWORK: &str = "gan.network";
/// Which line of checkpoints it belongs to, where the run has ever gone back ([`crate::run::line`]).
pub const LINE: &str = "gan.line";
/// How many images the run's data have, and a hash of their content.
pub const DATA: &str = "gan.data";
/// The hash of the encoder that is fine-tuned.
pub const ENCODER: &str = "gan.encoder";
/// What the health of the run is judged by.
pub const HEALTH: &str = "gan.health";
/// A record that waits for its scores.
pub const PENDING: &str = "gan.pending";
/// The rows of a table that are done.
pub const ROWS: &str = "gan.rows";
/// How the weights were made.
pub const MADE: &str = "gan.made";
