//! The one integration binary: every module here drives the library or the real `gan` program.

// The built-in digits: the same bytes everywhere, balanced, written with as much ink as handwriting.
mod digits;
