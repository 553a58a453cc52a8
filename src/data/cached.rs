//! Images that are decoded once, and read from a file from then on.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;

use super::{ImageShape, ImageSource};
use crate::error::Error;

/// The images of a source that decodes on demand. Each is added to the file when it was decoded first: in the order in
/// which they are asked for, since writing to places all over a large file would cost more than decoding.
///
/// The file has no name: it goes when the process ends, however it ends.
pub struct Cached {
    source: Arc<dyn ImageSource>,
    file: File,
    /// Where each image begins in the file; [`NOWHERE`] before it is there.
    places: Vec<AtomicU64>,
    end: AtomicU64,
    /// Once the disk is full nothing more is written.
    is_full: AtomicBool,
}

const NOWHERE: u64 = u64::MAX;

impl Cached {
    /// The images of `source`, kept in a file in `directory`.
    ///
    /// # Errors
    /// [`Error::NoCache`] where no file can be made there.
    pub fn new(source: Arc<dyn ImageSource>, directory: &Path) -> Result<Self> {
        let places = (0..source.len()).map(|_| AtomicU64::new(NOWHERE)).collect();
        let file = nameless_file(directory)
            .map_err(|error| Error::NoCache { directory: directory.into(), problem: error.to_string() })?;
        Ok(Self { source, file, places, end: AtomicU64::new(0), is_full: AtomicBool::new(false) })
    }
}

/// A file in `directory` that nobody else can open.
fn nameless_file(directory: &Path) -> std::io::Result<File> {
    static FILES: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".gan-cache-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue, // of a process that was killed just then
            file => return file.and_then(|file| fs::remove_file(&path).map(|()| file)),
        }
    }
}

impl ImageSource for Cached {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn shape_of(&self, index: usize) -> ImageShape {
        self.source.shape_of(index)
    }

    fn uniform_shape(&self) -> Option<ImageShape> {
        self.source.uniform_shape()
    }

    fn label_of(&self, index: usize) -> Option<u32> {
        self.source.label_of(index)
    }

    fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let place = self.places[index].load(Ordering::Acquire);
        if place != NOWHERE {
            let mut bytes = vec![0; self.shape_of(index).stride()];
            if self.file.read_exact_at(&mut bytes, place).is_ok() {
                return Ok(Cow::Owned(bytes));
            }
        }
        let bytes = self.source.bytes_of(index)?;
        // Two threads may do this for one image at a time: then it is there twice.
        if !self.is_full.load(Ordering::Relaxed) {
            let place = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            match self.file.write_all_at(&bytes, place) {
                Ok(()) => self.places[index].store(place, Ordering::Release),
                Err(_) => self.is_full.store(true, Ordering::Relaxed),
            }
        }
        Ok(bytes)
    }

    fn labels(&self) -> Cow<'_, [u32]> {
        self.source.labels()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::data::ImageSet;

    /// Images of the sizes 1x1, 2x2 and so on, which count how often they are decoded.
    struct Counting(Vec<AtomicUsize>, bool);

    impl ImageSource for Counting {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn shape_of(&self, index: usize) -> ImageShape {
            let side = if self.1 { index + 1 } else { 3 };
            ImageShape::new(side, side, 1)
        }

        fn label_of(&self, index: usize) -> Option<u32> {
            Some(index as u32)
        }

        fn bytes_of(&self, index: usize) -> Result<Cow<'_, [u8]>> {
            self.0[index].fetch_add(1, Ordering::SeqCst);
            Ok((0..self.shape_of(index).stride()).map(|place| (place * 31 + index) as u8).collect())
        }
    }

    #[test]
    fn each_image_is_decoded_once_and_comes_out_the_same() {
        let directory = tempfile::tempdir().unwrap();
        for has_sizes in [false, true] {
            let source = Arc::new(Counting((0..9).map(|_| AtomicUsize::new(0)).collect(), has_sizes));
            let cached = Cached::new(source.clone(), directory.path()).unwrap();
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "no name");
            for index in [4, 0, 8, 4, 3, 8, 0] {
                let expected: Vec<u8> =
                    (0..source.shape_of(index).stride()).map(|place| (place * 31 + index) as u8).collect();
                assert_eq!(*cached.bytes_of(index).unwrap(), expected);
            }
            let decoded: Vec<usize> = source.0.iter().map(|count| count.load(Ordering::SeqCst)).collect();
            assert_eq!(decoded, [1, 0, 0, 1, 1, 0, 0, 0, 1]);
            let set = ImageSet::from(cached);
            assert_eq!((set.len(), set.uniform_shape().is_some(), set.is_in_memory()), (9, !has_sizes, false));
            assert_eq!(*set.labels(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }

    #[test]
    fn where_nothing_can_be_written_images_are_decoded_each_time() {
        let source = Arc::new(Counting((0..2).map(|_| AtomicUsize::new(0)).collect(), false));
        let directory = tempfile::tempdir().unwrap();
        let mut cached = Cached::new(source.clone(), directory.path()).unwrap();
        fs::write(directory.path().join("file"), b"").unwrap();
        cached.file = File::open(directory.path().join("file")).unwrap(); // not to be written to
        for _ in 0..3 {
            assert_eq!(cached.bytes_of(1).unwrap(), source.bytes_of(1).unwrap());
        }
        assert_eq!(source.0[1].load(Ordering::SeqCst), 6);
        assert!(Cached::new(source, &directory.path().join("missing")).is_err());
    }
}
