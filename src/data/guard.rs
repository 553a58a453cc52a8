//! Panics of other crates' decoders, which assert where a file is damaged.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

use anyhow::{Result, bail};

thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });

/// Runs `read` and makes an error of a panic.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = QUIET.replace(true);
    // What `read` may leave half done is thrown away with the error.
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    QUIET.set(before);
    outcome.unwrap_or_else(|_| bail!("damaged; copy or download it again"))
}

/// Keeps the messages of such panics off stderr, by a panic hook around the one that is set. For `main`: the library
/// installs no hooks.
pub fn silence_decoder_panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !QUIET.get() {
            hook(info)
        }
    }));
}
