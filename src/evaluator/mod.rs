//! How good a generator is: its samples held against real images.

pub mod classifier;
mod judge;
mod reference;

use crate::data::ImageShape;
use crate::models::IMAGE_SIZE;

pub use classifier::{Classifier, Judged};
pub use judge::{Judge, Measured};
pub use reference::Reference;

/// What generators make: 28x28 grey.
pub const SHAPE: ImageShape = ImageShape { height: IMAGE_SIZE, width: IMAGE_SIZE, channels: 1 };

/// The data set where neither a flag nor the weights name one.
pub const DEFAULT_DATA: &str = "mnist";
