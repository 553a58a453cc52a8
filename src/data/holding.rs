//! How the images of pictures are held: in memory, in a cache on the disk, or not at all.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};

use super::DataOptions;
use super::memory::MemorySize;
use crate::error::Error;
use crate::file_system::{free_bytes, is_in_memory};

/// Where a cache may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataCache {
    /// There is to be none.
    None,
    /// In this directory.
    In(PathBuf),
}

impl FromStr for DataCache {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "none" { Self::None } else { Self::In(text.into()) })
    }
}

/// How images are held. Their bytes are the same in each case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Decoded, in memory.
    Memory,
    /// Each is decoded once, and read from a file in this directory from then on.
    Cache(PathBuf),
    /// Each is decoded whenever it is used.
    OnDemand,
}

/// Of the free bytes of a disk a cache takes one part of so many at most: runs want the rest.
const SHARE: u64 = 2;

/// Where systems keep temporary files that are too large for memory.
const ON_DISK: &str = "/var/tmp";

/// How images that take `wanted` bytes are held, and a line that says so.
///
/// # Errors
/// [`Error::NoCache`] where the directory that was given for the cache is none.
pub fn holding(wanted: MemorySize, options: &DataOptions) -> Result<(Holding, String)> {
    let memory = options.memory();
    if wanted.0 <= memory.0 {
        return Ok((Holding::Memory, format!("held in memory: {wanted}")));
    }
    let reason = format!("they take {wanted}, and the data memory is {memory}");
    let all = MemorySize(wanted.0.saturating_mul(1 + options.others_here)); // each process has a cache of its own
    let place = match &options.data_cache {
        Some(DataCache::None) => Err(String::new()),
        Some(DataCache::In(directory)) if !directory.is_dir() => {
            bail!(Error::NoCache { directory: directory.clone(), problem: "no such directory".into() })
        }
        Some(DataCache::In(directory)) => roomy(directory, all),
        None => match temporary_directory() {
            Some(directory) => roomy(&directory, all),
            None => Err("; no temporary directory is on a disk".into()),
        },
    };
    Ok(match place {
        Ok(directory) => {
            let line = format!("decoded once, then read from a cache in {}: {reason}", directory.display());
            (Holding::Cache(directory), line)
        }
        Err(why) => (Holding::OnDemand, format!("decoded each time they are used: {reason}{why}")),
    })
}

/// The system's temporary directory, or another where that one is kept in memory.
fn temporary_directory() -> Option<PathBuf> {
    let candidates = [std::env::temp_dir(), PathBuf::from(ON_DISK)];
    candidates.into_iter().find(|directory| directory.is_dir() && !is_in_memory(directory))
}

/// The directory if its disk has room for a cache, else why it is not taken.
fn roomy(directory: &Path, wanted: MemorySize) -> Result<PathBuf, String> {
    match free_bytes(directory) {
        Some(free) if wanted.0 > free / SHARE => {
            let most = MemorySize(free / SHARE);
            Err(format!("; a cache in {} may take {most}, half of what is free there", directory.display()))
        }
        _ => Ok(directory.to_path_buf()),
    }
}

impl fmt::Display for DataCache {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::In(directory) => directory.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_first_then_a_cache_with_room() {
        let directory = tempfile::tempdir().unwrap();
        let cache = DataCache::In(directory.path().into());
        let with = |wanted: u64, memory: u64, cache: &DataCache| {
            let (data_memory, data_cache) = (Some(MemorySize(memory)), Some(cache.clone()));
            holding(MemorySize(wanted), &DataOptions { data_memory, data_cache, ..DataOptions::default() })
        };
        assert_eq!(with(5, 5, &cache).unwrap(), (Holding::Memory, "held in memory: 5 bytes".into()));
        let (found, line) = with(5, 4, &cache).unwrap();
        assert_eq!(found, Holding::Cache(directory.path().into()));
        assert!(
            line.starts_with("decoded once") && line.ends_with("they take 5 bytes, and the data memory is 4 bytes")
        );
        let (found, line) = with(1 << 60, 4, &cache).unwrap();
        assert_eq!(found, Holding::OnDemand);
        assert!(line.starts_with("decoded each time they are used: they take ") && line.contains("half of"), "{line}");
        let (found, line) = with(5, 4, &DataCache::None).unwrap();
        assert_eq!(found, Holding::OnDemand);
        assert!(line.ends_with("the data memory is 4 bytes"), "{line}");
        let missing = DataCache::In(directory.path().join("missing"));
        assert!(with(5, 4, &missing).unwrap_err().to_string().contains("missing"));
        assert_eq!(with(5, 5, &missing).unwrap().0, Holding::Memory);
    }
}
