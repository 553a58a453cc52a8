//! A hold on panics of decoders by others, which assert where a file is damaged.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use anyhow::{Result, bail};

/// Runs `read` and makes an error of a panic. The panic's own message is kept off stderr, on this thread and while it runs
/// only.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                hook(info)
            }
        }));
    });
    let before = QUIET.replace(true);
    // What `read` may leave half done is thrown away with the error.
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    QUIET.set(before);
    outcome.unwrap_or_else(|_| bail!("damaged; copy or download it again"))
}
