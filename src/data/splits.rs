//! The folders `train`, `test` and `val` of a set, by the names that people give them.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::entries;
use crate::error::{Error, in_a_line};

/// What the images in a folder of that name are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To train on.
    Train,
    /// To choose by.
    Validation,
    /// To test on.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The names that it goes by, in lower case.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train", "training"],
            Self::Validation => &["val", "valid", "validation", "dev"],
            Self::Test => &["test", "testing"],
        }
    }

    /// The split that a folder of this name is for, in capitals or not.
    pub fn of(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_ascii_lowercase();
        Self::ALL.into_iter().find(|split| split.names().iter().any(|known| name == *known))
    }
}

/// The folders of a directory that are for a split, and what lies beside them.
#[derive(Debug, Default)]
pub struct Folders {
    /// The folder of the training images.
    pub train: Option<PathBuf>,
    /// The folder of the validation images.
    pub validation: Option<PathBuf>,
    /// The folder of the test images.
    pub test: Option<PathBuf>,
    /// Other folders and files, sorted.
    pub beside: Vec<PathBuf>,
}

impl Folders {
    /// Of `directory`. [`Error::Input`] where two folders are for the same split.
    pub fn find(directory: &Path) -> Result<Self> {
        let mut folders = Self::default();
        for path in entries(directory)? {
            let place = match Split::of(&path).filter(|_| path.is_dir()) {
                Some(Split::Train) => &mut folders.train,
                Some(Split::Validation) => &mut folders.validation,
                Some(Split::Test) => &mut folders.test,
                None => {
                    folders.beside.push(path);
                    continue;
                }
            };
            if let Some(other) = place {
                bail!(Error::Input(format!(
                    "{} and {}: two folders for the same part of the set; take one away",
                    in_a_line(other),
                    in_a_line(&path)
                )));
            }
            *place = Some(path);
        }
        Ok(folders)
    }
}
