//! The sets that have a name: those that are built in, and where the others come from and what they must be.
//!
//! What is checked is the SHA-256 of each file without its packing, so that a repacked file passes, and one from any
//! mirror must be the original to the byte. MNIST's were computed from files whose MD5 is the published one;
//! Fashion-MNIST's are those that several independent loaders on GitHub list, the two for labels computed here too, from
//! the files of the publisher's repository. CIFAR-10's are those of two loaders that check them at every use, the test
//! batch's that of two further sources; they stand beside the archive's own SHA-256, which TensorFlow Datasets lists too.

use super::shapes::{self, Part};
use super::{ImageShape, Images, cifar, digits};

/// A set that the program draws itself.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// What `--data` calls it.
    pub name: &'static str,
    /// In the order of the labels.
    pub classes: &'static [&'static str],
    /// Of the images, where no other is asked for.
    pub shape: ImageShape,
    /// Draws what to train on, for images of a shape, which need not be that of what is drawn.
    pub train: fn(ImageShape) -> Images,
    /// Draws what choices are made by; only where it is wanted, for it takes a moment.
    pub validation: fn(ImageShape) -> Images,
    /// Draws what to test on.
    pub test: fn(ImageShape) -> Images,
}

/// All of them. A new one is one file and one line here.
pub static BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: "digits",
        classes: &DIGITS,
        shape: MNIST_SHAPE,
        train: |_| digits::train(),
        validation: |_| digits::validation(),
        test: |_| digits::test(),
    },
    BuiltIn {
        name: "shapes",
        classes: &shapes::CLASSES,
        shape: cifar::SHAPE,
        train: |shape| shapes::for_shape(Part::Train, shape),
        validation: |shape| shapes::for_shape(Part::Validation, shape),
        test: |shape| shapes::for_shape(Part::Test, shape),
    },
];

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// A set that lies on the disk or is downloaded.
#[derive(Clone, Copy, Debug)]
pub struct NamedSet {
    /// The name of the set.
    pub name: &'static str,
    /// Class names, in the order of the label values.
    pub classes: &'static [&'static str],
    /// Tried in this order; each ends in a slash, and a file's name follows.
    pub mirrors: &'static [&'static str],
    /// Its files.
    pub files: Files,
    /// Of the images.
    pub shape: ImageShape,
    /// How many of the training images, the last ones, are the validation part.
    pub validation: usize,
    /// The built-in set to use where this one cannot be had.
    pub stand_in: &'static str,
}

/// What a set is published as.
#[derive(Clone, Copy, Debug)]
pub enum Files {
    /// Train images, train labels, test images, test labels.
    Idx([NamedFile; 4]),
    /// CIFAR-10's archive.
    Cifar {
        /// Without gzip, at most.
        bytes: u64,
        /// Of each of [`cifar::BATCHES`], hexadecimal.
        sha256: [&'static str; 6],
        /// Images in each batch; all classes have as many in the five batches to train on, and in the one to test on.
        batch: usize,
    },
}

/// One file of a set.
#[derive(Clone, Copy, Debug)]
pub struct NamedFile {
    /// On the mirror, and on disk after a download.
    pub name: &'static str,
    /// Bytes without gzip.
    pub bytes: u64,
    /// Of the content without gzip, hexadecimal.
    pub sha256: &'static str,
}

pub(super) const MNIST_SHAPE: ImageShape = ImageShape::COURSE;

const fn mnist_files(sha256: [&'static str; 4]) -> [NamedFile; 4] {
    [
        NamedFile { name: "train-images-idx3-ubyte.gz", bytes: 16 + 60_000 * 784, sha256: sha256[0] },
        NamedFile { name: "train-labels-idx1-ubyte.gz", bytes: 8 + 60_000, sha256: sha256[1] },
        NamedFile { name: "t10k-images-idx3-ubyte.gz", bytes: 16 + 10_000 * 784, sha256: sha256[2] },
        NamedFile { name: "t10k-labels-idx1-ubyte.gz", bytes: 8 + 10_000, sha256: sha256[3] },
    ]
}

/// All of them.
pub const SETS: [NamedSet; 3] = [
    NamedSet {
        name: "mnist",
        classes: &DIGITS,
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        files: Files::Idx(mnist_files([
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ])),
        shape: MNIST_SHAPE,
        validation: 10_000,
        stand_in: "digits",
    },
    NamedSet {
        name: "fashion-mnist",
        classes: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        files: Files::Idx(mnist_files([
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ])),
        shape: MNIST_SHAPE,
        validation: 10_000,
        stand_in: "digits",
    },
    NamedSet {
        name: "cifar10",
        classes: &cifar::CLASSES,
        mirrors: &[
            "https://www.cs.toronto.edu/~kriz/",
            "https://cave.cs.toronto.edu/kriz/",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
        ],
        files: Files::Cifar {
            bytes: 184_400_000,
            sha256: [
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            ],
            batch: cifar::BATCH,
        },
        shape: cifar::SHAPE,
        validation: 5_000,
        stand_in: "shapes",
    },
];
