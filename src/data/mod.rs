//! Data sets: images as u8 in memory, from the program itself, from files, or downloaded.

pub mod digits;

/// A set of images of one size, row after row, channels last, with a class for each where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// (N, height, width, channels)
    pub pixels: Vec<u8>,
    /// One class index an image; empty where the source has no labels.
    pub labels: Vec<u8>,
}

impl Images {
    /// Bytes an image.
    pub fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.stride().max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }
}

/// A data set: its name, its classes, what to train on and what to test on.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub name: String,
    /// Class names in the order of the label values; empty where the source has no labels.
    pub classes: Vec<String>,
    pub train: Images,
    /// Empty where the source has no test part.
    pub test: Images,
}
