//! The one integration binary: every module here drives the library or the real `gan` program.

// Helpers of tests may unwrap and print as the tests do; clippy's own exception covers functions marked #[test] only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

// Where the tests compute.
mod device;
// What the tests of the real program share.
mod support;

// An accelerator against the CPU; ignored unless it is asked for.
mod accelerator;
// What carries gradients between ops.
mod autograd;
// Flags: numbers that cannot be meant, directories that are not there.
mod flags;
// `gan evaluate --images`: folders of pictures and .npy files of every type.
mod given_images;
// Every row of the table of exit codes; damaged and hostile files.
mod bad_input;
// GANs of other images than 28x28 grey: sizes, colour, Radford's networks.
mod colour;
// Shards and processes.
mod distributed;
// `--skip-broken` of the commands that train.
mod broken_pictures;
// Checkpoints: the format, PyTorch's files, damage, atomic writing, the directories of runs.
mod checkpoint;
// Conditional GANs: classes in training, in samples, in scores.
mod conditional;
// Steps and inference of several threads.
mod concurrent;
// Data sets and batches: IDX, CIFAR's batches, parquet, folders of pictures, downloads from a server that misbehaves.
mod data;
// `gan data`.
mod census;
// `gan predict`.
mod predict;
// `gan finetune`.
mod finetune;
// The built-in digits: the same bytes everywhere, balanced, neither trivial nor hopeless.
mod digits;
// A resumed run changes nothing before its first step; going back to an earlier checkpoint.
mod going_back;
// Encoders and their projection head: sizes, names, initial weights.
mod encoders;
// `gan embed`: features in every format, neighbours, broken pictures, memory.
mod embed;
// Runs that go on from another directory.
mod elsewhere;
// `gan evaluate`, and scores during training.
mod evaluate;
// Measures of features and predictions: accuracy, kNN, alignment and uniformity, maps.
mod eval;
// `--keep-best` and `--patience`: which network is kept, resumed runs, early ends, who takes it.
mod keep_best;
// What a run knows of what it stands on: images, encoder, health; how it can be named.
mod known;
// The sources of the CUDA kernels.
mod kernels;
// The library as another program uses it.
mod library;
// Networks: sizes, names, initial weights, batch norm in training and evaluation.
mod models;
// The one way of gradients to weights: a transform before the update.
mod gradients;
// The kernels of CUDA, run on a CPU.
mod emulated;
// Ops: parity with their twins, gradients, threads, NaN.
mod ops;
// `--precision`: refusals, resumption.
mod precision;
// Networks, losses, optimizers and steps of training against PyTorch.
mod reference;
// The order in which the images of a set lie changes no figure.
mod order;
// Pictures of SimCLR: curves, confusion matrices, maps of features, sheets of views.
mod pictures;
// Grids, films, charts, the run log and what goes to which stream.
mod report;
// Which networks a file holds: by its header, its configuration, its names and shapes.
mod recognise;
// Every refusal before the first step, of every command: no trace of it is left.
mod refusals;
// Stopped anywhere and resumed: the same bytes.
mod resume;
// Every output of `gan sample`.
mod sample;
// `gan pretrain-simclr`.
mod simclr;
// Few images: mirrored, augmented, from trained networks.
mod small_data;
// The built-in shapes: the same bytes everywhere, balanced, told apart by form alone.
mod shapes;
// Licences and sources of what the program is made of; where code is unsafe.
mod supply;
// Our networks in the files of PyTorch's users.
mod torch_files;
// `gan train-gan`: files, streams, divergence, health.
mod train;
