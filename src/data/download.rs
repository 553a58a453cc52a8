//! Downloads: resumed, from mirrors in turn, and kept only if the content is what it must be.

#[cfg(feature = "download")]
mod http;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::data::idx::{hex, unpacked};

/// The file to be had.
#[derive(Clone, Copy)]
pub struct Download<'a> {
    /// For progress.
    pub name: &'a str,
    /// Where it goes. While it arrives it is `path` with `.part` at the end, which stays where a part has arrived: a later
    /// call goes on from it.
    pub path: &'a Path,
    /// Bytes without gzip, at most.
    pub bytes: u64,
    /// Whether the file is what it must be, such as [`check_content`]; else what is wrong with it.
    pub check: &'a dyn Fn(&Path) -> Result<(), String>,
}

/// How patiently mirrors are asked.
#[derive(Clone, Debug)]
pub struct Downloader {
    /// Tries in a row without a new byte, after which a mirror is given up.
    pub tries: u32,
    /// Before the second try; twice as long before each further one.
    pub pause: Duration,
    /// How long a connection may take to come about, and then to bring the next bytes.
    pub stall: Duration,
    /// Whether the proxies of the environment are used (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    pub proxies: bool,
}

impl Default for Downloader {
    fn default() -> Self {
        Self { tries: 3, pause: Duration::from_millis(500), stall: Duration::from_secs(20), proxies: true }
    }
}

#[cfg(not(feature = "download"))]
impl Downloader {
    /// Brings nothing: the inner error says that this build has no downloads.
    pub fn fetch(&self, _: &Download, _: &[String], _: super::OnBytes) -> anyhow::Result<Result<(), Vec<String>>> {
        Ok(Err(vec!["gan was built without downloads (cargo feature `download`)".into()]))
    }
}

/// Whether the content of `path` without its gzip has this SHA-256 (hexadecimal); else what is wrong with it. Reads no
/// more than `bytes` and one.
pub fn check_content(path: &Path, bytes: u64, sha256: &str) -> Result<(), String> {
    match content_sha256(path, bytes) {
        Ok(found) if found == sha256 => Ok(()),
        Ok(found) => Err(format!("SHA-256 of the content is {found}, expected {sha256}")),
        Err(error) => Err(format!("it sent a damaged file: {error}")),
    }
}

fn content_sha256(path: &Path, bytes: u64) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut content = unpacked(path)?.take(bytes + 1);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}
