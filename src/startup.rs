//! What a process sets once, before anything else runs in it.

use mimalloc as _; // links it
use std::ffi::{c_int, c_long};

unsafe extern "C" {
    /// mimalloc's; its Rust binding has no name for the option.
    fn mi_option_set(option: c_int, value: c_long);
}

/// `mi_option_purge_delay` of mimalloc.h.
const PURGE_DELAY: c_int = 15;

/// candle's own threads: a few large elementwise ops would share them, waiting for each other in a busy loop, which
/// costs more than it gives beside the threads that our ops run on: three times the whole step on a busy machine.
const CANDLE_THREADS: &str = "CANDLE_NUM_THREADS";

/// Call it first in `main`, before any thread is started. The allocator must be mimalloc.
pub fn prepare() {
    // SAFETY: the signature is that of mimalloc.h, and the option is one that it has. -1 keeps freed memory: the next
    // step needs the same again, and pages fresh from the system are cleared first, which took a tenth of a step.
    unsafe { mi_option_set(PURGE_DELAY, -1) };
    if std::env::var_os(CANDLE_THREADS).is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var(CANDLE_THREADS, "1") };
    }
}

/// Keeps the system from backing memory with huge pages: for commands that are over before they pay. A page of 2 MiB is
/// cleared whole at its first touch, which was two thirds of the time from `gan sample` to a grid.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call changes a flag of this process and touches no memory.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
