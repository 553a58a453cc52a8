//! How far the reading of a set's pictures is.

use rayon::prelude::*;

use super::OnBytes;
use super::picture_place::PicturePlace;

/// Pictures that are read between two reports.
pub const BATCH: usize = 512;

/// How far the reading of some pictures is.
pub struct Reading<'a> {
    done: u64,
    total: u64,
    on_bytes: OnBytes<'a>,
}

impl<'a> Reading<'a> {
    /// Nothing of these parts is read.
    pub fn of(parts: [&[PicturePlace]; 3], on_bytes: OnBytes<'a>) -> Self {
        Self { done: 0, total: parts.map(bytes).into_iter().sum(), on_bytes }
    }

    /// These are read.
    pub fn add(&mut self, files: &[PicturePlace]) {
        self.done += bytes(files);
        (self.on_bytes)("pictures", self.done, Some(self.total));
    }
}

fn bytes(files: &[PicturePlace]) -> u64 {
    files.par_iter().map(PicturePlace::stored_bytes).sum()
}
