//! Data-parallel training: a batch is cut into shards, each is computed as a whole by one process, and what they give is
//! summed in an order that does not depend on who computed what.
//!
//! - [`Shards`]: which shards a process computes, and the mean over all of them.
//! - [`Communicator`]: what processes say to each other. [`Alone`] is one process without any other; MPI's is there with the
//!   feature `mpi`.

mod communicator;
mod meeting;
#[cfg(feature = "mpi")]
mod mpi_processes;
mod shards;
mod tree;

pub use communicator::{Alone, Communicator};
#[cfg(feature = "mpi")]
pub use mpi_processes::MpiProcesses;
pub use shards::Shards;
