//! Checkpoints: the file format, atomic and durable writing, and PyTorch's files.
//!
//! - [`mod@format`]: [`Archive`], tensors by name with metadata; `read`, `describe`, `write`.
//! - [`atomic`]: replace a file in one step, so that no crash leaves half of one.
//! - [`bundled`]: the pretrained weights that are part of the binary.
//! - [`header`]: the keys of our header entries.
//! - [`saved_runs`](mod@saved_runs): what a run writes, by name; and what runs there are.
//! - [`state`]: what a step changes, put together for a checkpoint and taken apart again.
//! - [`names`]: does what a file holds fit what a model needs.
//!
//! The other modules are the two formats taken apart: `safetensors` (ours and PyTorch's), and `pytorch` with `pickle`,
//! `objects`, `tree` and `zip` (what `torch.save` writes, read without running any code).

pub mod atomic;
mod best;
pub mod bundled;
mod element;
pub(crate) mod elements;
pub mod format;
pub mod header;
pub mod names;
mod objects;
mod pickle;
mod pytorch;
mod safetensors;
pub mod saved_runs;
pub mod state;
mod tree;
mod weights;
mod zip;

pub use best::{Best, Measure};
pub use bundled::Bundled;
pub use format::{Archive, Container, Description, Signature, describe, from_bytes, read, to_bytes, write};
pub use names::{check_names, conform, first_non_finite};
pub use saved_runs::{SavedRun, saved_runs};
pub use weights::Weights;
