//! Data-parallel training: a batch is cut into shards, each is computed as a whole by one process, and what they give is
//! summed in an order that does not depend on who computed what.
//!
//! - [`Shards`]: which shards a process computes, and the mean over all of them. Gradients are sent while the backward pass
//!   goes on ([`Scatter`]).
//! - [`Rounds`]: other work, of which each process computes its tiles.
//! - [`Communicator`]: what processes say to each other. [`Alone`] is one process without any other; MPI's is there with the
//!   feature `mpi`.
//! - [`Cards`]: what goes from card to card without the host. [`OneCard`] is that of one process; NCCL's are there with the
//!   feature `nccl`.

mod cards;
mod communicator;
mod meeting;
#[cfg(feature = "mpi")]
mod mpi_processes;
#[cfg(feature = "mpi")]
mod mpi_scatter;
#[cfg(feature = "mpi")]
mod mpi_thread;
#[cfg(feature = "mpi")]
mod mpi_transfers;
#[cfg(feature = "nccl")]
mod nccl_cards;
mod open_sum;
mod parts;
mod rounds;
mod shards;
mod sum;
mod tree;

pub use cards::{Cards, OneCard};
pub use communicator::{Alone, Communicator, Scatter, Traffic};
#[cfg(feature = "mpi")]
pub use mpi_processes::MpiProcesses;
#[cfg(feature = "nccl")]
pub use nccl_cards::NcclCards;
pub use parts::{Parts, Slice};
pub use rounds::Rounds;
pub use shards::{Give, Shards};
pub use sum::Sum;
