//! Whether the disk has room for what a run will write, asked before it begins.

use std::path::Path;

use anyhow::bail;

use crate::error::{Error, mebibytes};

/// What a run will have on the disk at once, beyond what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes of a checkpoint, and how many more will lie there.
    pub checkpoint: u64,
    pub checkpoints: u64,
    /// Bytes of the networks for use.
    pub networks: u64,
}

impl Need {
    pub fn bytes(&self) -> u64 {
        self.checkpoint.saturating_mul(self.checkpoints).saturating_add(self.networks)
    }
}

/// Refuses what does not fit on the file system that `directory` is or will be on; `reclaimed` bytes will be freed first.
/// Where the system does not say how much is free, it is not asked. Quotas are not seen.
///
/// # Errors
/// [`Error::NoSpace`].
pub fn check(directory: &Path, need: &Need, reclaimed: u64) -> anyhow::Result<()> {
    let Some(free) = free_bytes(directory) else { return Ok(()) };
    if need.bytes() > free.saturating_add(reclaimed) {
        let (checkpoint, networks) = (mebibytes(need.checkpoint), mebibytes(need.networks));
        let checkpoints = if need.checkpoints == 1 { "checkpoint" } else { "checkpoints" };
        let parts = format!("{} {checkpoints} of {checkpoint} and the networks, {networks}", need.checkpoints);
        let (free, needed) = (free.saturating_add(reclaimed), need.bytes());
        bail!(Error::NoSpace { directory: directory.into(), free, needed, parts });
    }
    Ok(())
}

/// What is free for us on the file system of `directory`, or of the nearest directory above it that exists.
fn free_bytes(directory: &Path) -> Option<u64> {
    let here = Path::new(".");
    let mut above = directory.ancestors().map(|path| if path.as_os_str().is_empty() { here } else { path });
    crate::file_system::free_bytes(above.find(|path| path.exists())?)
}
