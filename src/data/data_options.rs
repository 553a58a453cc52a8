//! Where named sets lie, and how a set is held.

use std::path::PathBuf;

use super::memory::MemorySize;

/// Where images come from and how they are kept. What is a flag of its own here changes no result.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DataOptions {
    /// Directory of the named data sets, each in its own folder; missing ones are downloaded to it [default: the user's
    /// cache directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Memory for the images of a folder, such as 512MiB or 4GB; images that take more are decoded each time they are
    /// used, with the same results [default: half of the free memory]
    #[arg(long, value_name = "SIZE")]
    pub data_memory: Option<MemorySize>,

    /// Whether pictures of a folder that cannot be decoded are left out. It changes results: the configuration of a run
    /// says so.
    #[arg(skip)]
    pub skip_broken: bool,
}

impl DataOptions {
    /// Bytes that the images of a folder may take.
    pub fn memory(&self) -> MemorySize {
        self.data_memory.unwrap_or_else(MemorySize::half_of_free)
    }
}
