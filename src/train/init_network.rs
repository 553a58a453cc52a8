use serde::{Deserialize, Serialize};

/// A trained network that a run has started from, as its configuration records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitNetwork {
    /// `generator` or `discriminator`
    pub network: String,
    /// Its file.
    pub path: String,
    /// The SHA-256 of its tensors.
    pub sha256: String,
}
