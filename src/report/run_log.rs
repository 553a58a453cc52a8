//! The log of a run, `metrics.jsonl`: one JSON object a logged step, each on its own line.
//!
//! A line is written in one piece and handed to the system at once, so a run that is killed loses at most the line it
//! was writing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::atomic;
use crate::error::Error;

/// A log open for appending records of type `R`.
#[derive(Debug)]
pub struct RunLog<R> {
    path: PathBuf,
    file: File,
    records: PhantomData<fn(R) -> R>,
}

/// What of a log stays when a run goes on, to the byte.
#[derive(Clone, Debug, Default)]
pub struct KeptRecords(String);

impl KeptRecords {
    /// Reads the log at `path`, if there is one, and keeps the records of type `R` for which `keep` is true: on resuming,
    /// those from before the checkpoint's step. A torn last line is none.
    ///
    /// # Errors
    /// [`Error::Input`] when a line other than the last is no record.
    pub fn read<R: DeserializeOwned>(path: &Path, keep: impl Fn(&R) -> bool) -> anyhow::Result<Self> {
        let text = read(path)?.unwrap_or_default();
        let mut kept = String::new();
        for (line, _) in parse::<R>(path, &text)?.into_iter().filter(|(_, record)| keep(record)) {
            kept.push_str(line);
            kept.push('\n');
        }
        Ok(Self(kept))
    }
}

impl<R: Serialize + DeserializeOwned> RunLog<R> {
    /// Opens the log at `path` for appending to what was kept; it takes the place of another content in one step.
    ///
    /// # Errors
    /// [`Error::Storage`] when the log cannot be written.
    pub fn begin(path: &Path, kept: &KeptRecords) -> anyhow::Result<Self> {
        let kept = kept.0.as_bytes();
        if read(path)?.unwrap_or_default() != kept {
            atomic::write(path, |out| out.write_all(kept))?;
        }
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|error| Error::writing(path, error))?;
        Ok(Self { path: path.to_owned(), file, records: PhantomData })
    }

    /// [`KeptRecords::read`] and [`RunLog::begin`] at once.
    ///
    /// # Errors
    /// As those.
    pub fn open(path: &Path, keep: impl Fn(&R) -> bool) -> anyhow::Result<Self> {
        Self::begin(path, &KeptRecords::read(path, keep)?)
    }

    /// Adds a record and hands back its line, without the line break, for whoever streams it too.
    pub fn append(&mut self, record: &R) -> anyhow::Result<String> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| Error::writing(&self.path, error))?;
        line.pop();
        Ok(line)
    }

    /// Waits until every line is on the disk: before a checkpoint that counts on them.
    pub fn sync(&self) -> anyhow::Result<()> {
        Ok(self.file.sync_data().map_err(|error| Error::writing(&self.path, error))?)
    }

    /// All records of the log at `path`; a torn last line is none.
    pub fn records(path: &Path) -> anyhow::Result<Vec<R>> {
        let text = read(path)?.ok_or_else(|| Error::Input(format!("{}: no such file", path.display())))?;
        Ok(parse(path, &text)?.into_iter().map(|(_, record)| record).collect())
    }
}

/// The bytes of the log, or `None` where there is no file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::reading(path, error)),
    }
}

/// The lines of a log with what they say, but for a last one that says nothing.
fn parse<'a, R: DeserializeOwned>(path: &Path, text: &'a [u8]) -> Result<Vec<(&'a str, R)>, Error> {
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let mut records = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let text = str::from_utf8(line).map_err(|error| error.to_string());
        let parsed = text.and_then(|text| match serde_json::from_str(text) {
            Ok(record) => Ok((text, record)),
            Err(error) => Err(error.to_string()),
        });
        match parsed {
            Ok(record) => records.push(record),
            Err(_) if index + 1 == lines.len() => break,
            Err(error) => {
                let message =
                    format!("line {} is no record of this run: {error}\nRepair or remove that line.", index + 1);
                return Err(Error::reading(path, message));
            }
        }
    }
    Ok(records)
}
