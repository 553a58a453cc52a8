//! The one integration binary: every module here drives the library or the real `gan` program.

// Data sets from files, pictures, parquet and a hostile web server; batches.
mod data;
