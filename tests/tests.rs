//! The one integration binary: every module here drives the library or the real `gan` program.

// Kernels against their naive twins, finite differences, other numbers of threads, and bad input.
mod ops;
