//! The one integration binary: every module here drives the library or the real `gan` program.

// Checkpoints: the format, PyTorch's files, damage, atomic writing, the directories of runs.
mod checkpoint;
