//! The header entries of our files: their keys, and what a saved configuration says.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Where a run has come to.
pub const STATE: &str = "gan.state";
/// The configuration, in checkpoints and in networks for use.
pub const CONFIG: &str = "gan.config";
/// What the network is that the file is for (`models::NetworkDescription`), in networks for use. Files from before lack it.
pub const NETWORK: &str = "gan.network";
/// Which line of checkpoints it belongs to, where the run has ever gone back (`run::line`).
pub const LINE: &str = "gan.line";
/// How many images the run's data have, and a hash of their content.
pub const DATA: &str = "gan.data";
/// The hash of the encoder that is fine-tuned.
pub const ENCODER: &str = "gan.encoder";
/// What the health of the run is judged by.
pub const HEALTH: &str = "gan.health";
/// How strong adaptive augmentation is.
pub const AUGMENT: &str = "gan.augment";
/// Which step the best network of the run is of, and its score, where one is kept (`Best`).
pub const BEST: &str = "gan.best";
/// How long the run has gone on without a new best, where one is kept.
pub const PATIENCE: &str = "gan.patience";
/// A record that waits for its scores.
pub const PENDING: &str = "gan.pending";
/// The rows of a table that are done.
pub const ROWS: &str = "gan.rows";
/// How the weights were made.
pub const MADE: &str = "gan.made";

/// A text field of a saved configuration.
pub fn saved_text(config: &str, field: &str) -> Option<String> {
    let config: Value = serde_json::from_str(config).ok()?;
    config.get(field)?.as_str().map(str::to_string)
}

/// Reads a number, or NaN where there is `null`: JSON knows no NaN and no infinity.
pub fn number_or_null<'de, D: Deserializer<'de>, F>(deserializer: D) -> Result<F, D::Error>
where
    F: Deserialize<'de> + From<f32>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(|| F::from(f32::NAN)))
}
