//! The one integration binary: every module here drives the library or the real `gan` program.
