//! What a process sets and asks of the system, for all of itself.

#![allow(unsafe_code)]

mod allocator;

pub use allocator::Allocator;
#[cfg(target_os = "macos")]
use std::ffi::c_int;

/// candle's own threads: a few large elementwise ops would share them, waiting for each other in a busy loop, which
/// costs more than it gives beside the threads that our ops run on: three times the whole step on a busy machine.
const CANDLE_THREADS: &str = "CANDLE_NUM_THREADS";

/// Call it first in `main`, where the allocator is [`Allocator`]. Once there are other threads, and where the system does not
/// say whether there are, it does nothing: they may be reading what it sets.
pub fn prepare() {
    if !is_only_thread() {
        return;
    }
    allocator::keep_freed_memory();
    if std::env::var_os(CANDLE_THREADS).is_none() {
        // SAFETY: no other thread runs that could read the environment, and this one starts none meanwhile.
        unsafe { std::env::set_var(CANDLE_THREADS, "1") };
    }
}

/// Whether this process is known to have no other thread.
fn is_only_thread() -> bool {
    #[cfg(target_os = "linux")]
    return std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    #[cfg(target_os = "macos")]
    // SAFETY: all-zero is a valid value of this plain C struct, and the call writes into it, as far as it is long.
    unsafe {
        let mut info: libc::proc_taskinfo = std::mem::zeroed();
        let size = size_of_val(&info) as c_int;
        let to = std::ptr::from_mut(&mut info).cast();
        return libc::proc_pidinfo(libc::getpid(), libc::PROC_PIDTASKINFO, 0, to, size) == size
            && info.pti_threadnum == 1;
    }
    #[allow(unreachable_code)]
    false
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

/// Whether the process was started with `signal` ignored, which a well-behaved program leaves so.
#[cfg(unix)]
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: all-zero is a valid value of this plain C struct; the call asks only, and writes into it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
pub fn is_ignored(_: i32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test runs in a thread of its own, so there are two at least.
    #[test]
    fn the_environment_is_left_alone_once_there_are_threads() {
        assert!(!is_only_thread());
        let before = std::env::var_os(CANDLE_THREADS);
        prepare();
        assert_eq!(std::env::var_os(CANDLE_THREADS), before);
    }
}
