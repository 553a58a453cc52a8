//! The one integration binary: every module here drives the library or the real `gan` program.

// Grids, films, charts, the run log and what goes to which stream.
mod report;
