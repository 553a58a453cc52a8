use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use sha2::{Digest, Sha256};

use super::format;
use crate::checkpoint::bundled::Bundled;
use crate::checkpoint::format::{Archive, Signature};
use crate::error::{Error, legible};

/// What the header entries of our own files begin with.
const OURS: &str = "gan.";

/// What a file holds, or what comes with the program: described at once, its tensors read when it is known which are
/// wanted.
#[derive(Debug)]
pub struct Weights {
    /// The file; of bundled weights, their name.
    pub path: PathBuf,
    pub signature: Signature,
    /// By name, what is not read and why.
    pub unread: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    /// Of the file; of bundled weights, of their tensors.
    pub bytes: u64,
    bundled: Option<Bundled>,
    /// Bundled weights, already read.
    archive: Option<Archive>,
}

impl Weights {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`format::describe`].
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let described = format::describe(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            signature: described.tensors,
            unread: described.unread,
            metadata: described.metadata,
            bytes: described.bytes,
            bundled: None,
            archive: None,
        })
    }

    /// What comes with the program.
    ///
    /// # Errors
    /// As [`Bundled::read`].
    pub fn bundled(bundled: Bundled) -> anyhow::Result<Self> {
        let archive = bundled.read()?;
        Ok(Self {
            path: bundled.name().into(),
            signature: archive.signature(),
            unread: BTreeMap::new(),
            metadata: archive.metadata.clone(),
            bytes: u64::MAX,
            bundled: Some(bundled),
            archive: Some(archive),
        })
    }

    /// Whether this program wrote the file: then it has what it has to have and nothing else.
    pub fn are_ours(&self) -> bool {
        self.metadata.keys().any(|key| key.starts_with(OURS))
    }

    /// The tensors that are `wanted` by name.
    ///
    /// # Errors
    /// As [`format::read`].
    pub fn read(&self, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<BTreeMap<String, Tensor>> {
        match &self.archive {
            None => Ok(format::read_some(&self.path, wanted)?.tensors),
            Some(archive) => {
                let wanted = archive.tensors.iter().filter(|(name, _)| wanted(name));
                Ok(wanted.map(|(name, tensor)| (name.clone(), tensor.clone())).collect())
            }
        }
    }

    /// The SHA-256 of the file; of bundled weights, of what is in the program.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn sha256(&self) -> anyhow::Result<String> {
        let mut hash = Sha256::new();
        match self.bundled {
            Some(bundled) => hash.update(bundled.bytes()?),
            None => {
                let reading = |error| Error::reading(&self.path, error);
                let mut file = File::open(&self.path).map_err(reading)?;
                let mut buffer = vec![0; 1 << 16];
                loop {
                    match file.read(&mut buffer).map_err(reading)? {
                        0 => break,
                        read => hash.update(&buffer[..read]),
                    }
                }
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// For an error: how many tensors there are, the first names, and the first of what is not read.
    pub fn contents(&self) -> String {
        let first: Vec<&str> = self.signature.keys().take(3).map(String::as_str).collect();
        let unread = match (self.unread.first_key_value(), self.unread.len()) {
            (None, _) => String::new(),
            (Some((name, what)), 1) => format!("; {name}, {what}, is not read"),
            (Some((name, what)), count) => format!("; {name}, {what}, and {} more are not read", count - 1),
        };
        let first = legible(&format!("{}, …{unread}", first.join(", ")));
        format!("it holds {} tensors ({first})", self.signature.len())
    }
}
