//! Where named sets lie, and how a set is held.

use std::path::PathBuf;

use super::MAX_PIXELS;
use super::holding::DataCache;
use super::memory::MemorySize;

/// Where images come from and how they are kept. What is a flag of its own here changes no result.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DataOptions {
    /// Directory of the named data sets, each in its own folder; missing ones are downloaded to it [default: the user's
    /// cache directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Memory for the images of pictures, such as 512MiB or 4GB; of those that take more each is decoded once and kept in
    /// a cache on the disk, with the same results [default: half of the free memory]
    #[arg(long, value_name = "SIZE")]
    pub data_memory: Option<MemorySize>,

    /// Directory for that cache, which is deleted at the end; with `none`, or where half of the free disk is too small for
    /// it, images are decoded each time they are used [default: a temporary directory]
    #[arg(long, value_name = "DIR|none")]
    pub data_cache: Option<DataCache>,

    /// Whether pictures that cannot be decoded are left out. It changes results: the configuration of a run
    /// says so.
    #[arg(skip)]
    pub skip_broken: bool,

    /// How many other processes on this machine hold the same images.
    #[arg(skip)]
    pub others_here: u64,
}

impl DataOptions {
    /// Of a set that is known to fit into memory.
    pub(super) fn in_memory() -> Self {
        Self { data_memory: Some(MemorySize(MAX_PIXELS)), ..Self::default() }
    }

    /// Bytes that the images of pictures may take.
    pub fn memory(&self) -> MemorySize {
        self.data_memory.unwrap_or_else(|| MemorySize(MemorySize::half_of_free().0 / (1 + self.others_here)))
    }
}
