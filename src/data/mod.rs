//! Data sets, from the program itself, from files, or downloaded; and what training takes of them, made ahead of it.
//!
//! From the disk to a step: [`open()`] finds the set and its reader, which gives a [`Dataset`]; a [`StepPlan`] says what each
//! step takes of an [`ImageSource`]; a [`Prefetcher`] makes it: [`batches()`], [`views()`], [`latents`].

mod archives;
pub mod augment;
mod batches;
mod broken;
mod cached;
pub mod catalogue;
pub mod census;
pub mod cifar;
#[cfg(feature = "download")]
mod claim;
mod class_batches;
mod data_options;
mod dataset;
mod digests;
pub mod digits;
pub mod download;
mod entries;
mod fitted;
pub mod folder;
mod gallery;
mod given_images;
mod guard;
mod held_pictures;
pub mod holding;
pub mod identity;
pub mod idx;
mod image_set;
mod images;
mod jpeg;
pub mod memory;
pub mod named;
pub mod npy;
mod open;
pub mod parquet;
pub mod parts;
pub mod picture;
mod picture_error;
mod picture_files;
mod picture_place;
mod pictures;
mod pixel_hash;
mod plan;
mod prefetch;
mod reading;
mod resize;
mod selection;
pub mod shapes;
mod shard;
mod source;
pub mod splits;
pub mod stacked;
pub mod summary;
mod target_shape;
pub mod test_part;
mod tiff;
mod views;
#[cfg(feature = "candle-datasets")]
pub mod vision;
mod walk;
pub mod warp;
mod webp;

pub use crate::image_shape::ImageShape;
pub use batches::{batches, latents, mixing, normalised, pixel_of};
pub use census::Census;
pub use class_batches::{class_batches, one_hot};
pub use data_options::DataOptions;
pub use dataset::Dataset;
use entries::entries;
pub use gallery::{Gallery, GalleryEntry, Reach};
pub use given_images::{GivenImages, open_images, read_images};
#[doc(hidden)]
pub use guard::silence_decoder_panics;
pub use image_set::ImageSet;
pub use images::Images;
use open::is_spelling;
pub use open::{is_name, is_stacked_mnist, open, own_shape};
pub use plan::{CLASSES, MIRROR, MIXING, Order, StepPlan, ViewPlan, steps_per_epoch};
pub use prefetch::Prefetcher;
pub use shard::Shard;
pub use source::{ImageSource, common_shape, pixels_of};
pub use target_shape::TargetShape;
pub use views::{ViewBatch, views};

/// The most pixels (bytes) that one part of a data set may hold in memory: 4 GiB. A file that claims more is refused. Folders
/// of pictures, which claim nothing, may take as much as [`DataOptions::memory`] says.
pub const MAX_PIXELS: u64 = 4 << 30;

/// The most classes that a set may have. A file that claims more is refused.
pub const MAX_CLASSES: u32 = 1 << 16;

/// Called while bytes arrive: file name, bytes so far, total if known.
pub type OnBytes<'a> = &'a dyn Fn(&str, u64, Option<u64>);
