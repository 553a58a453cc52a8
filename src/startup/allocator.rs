//! The program's allocator, with settings under which a training step takes the memory that the step before has freed.
//!
//! A step allocates hundreds of tensors of a few sizes and frees them in another order. An allocator that gives large
//! blocks back to the system has their pages cleared again at every step; one that keeps what was freed by its size, as
//! mimalloc does, holds memory for the peak of each size. glibc's joins free neighbours and cuts a new block from the
//! smallest that holds it, so with all of it in one arena that is never trimmed a step needs hardly more than what lives
//! at one time.

/// The allocator of the program: the system's where that is glibc's, else mimalloc.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub use mimalloc::MiMalloc as Allocator;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use std::alloc::System as Allocator;

/// Has [`Allocator`] keep what is freed. No other thread may run.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn keep_freed_memory() {
    // SAFETY: the calls set options of malloc and ask for the size of memory.
    let memory = unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_ARENA_MAX, 1);
        [libc::_SC_PHYS_PAGES, libc::_SC_PAGESIZE].map(|name| usize::try_from(libc::sysconf(name)).unwrap_or(0))
    };
    back_with_huge_pages(memory[0].saturating_mul(memory[1]) / 2);
}

/// Has the system back the next `len` bytes of the arena with huge pages: without them the first touch of 2 MiB is 512
/// faults, and products wait for the translation of addresses. Where the system refuses, nothing changes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn back_with_huge_pages(len: usize) {
    const HUGE: usize = 1 << 21;
    // SAFETY: the block is ours until it is freed, nothing of it is read or written, and the advice concerns whole pages
    // within it. It ends at the top of the arena, which is not trimmed: later blocks are cut from it.
    unsafe {
        let block = libc::malloc(len);
        let skipped = block.align_offset(HUGE);
        if !block.is_null() && skipped < len {
            libc::madvise(block.byte_add(skipped), (len - skipped) / HUGE * HUGE, libc::MADV_HUGEPAGE);
        }
        libc::free(block);
    }
}

/// Has [`Allocator`] keep what is freed. No other thread may run.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep_freed_memory() {
    use std::ffi::{c_int, c_long};

    unsafe extern "C" {
        /// mimalloc's; its Rust binding has no name for the option.
        fn mi_option_set(option: c_int, value: c_long);
    }
    /// `mi_option_purge_delay` of mimalloc.h.
    const PURGE_DELAY: c_int = 15;
    // SAFETY: the signature is that of mimalloc.h, the option is one that it has, and no other thread reads it.
    unsafe { mi_option_set(PURGE_DELAY, -1) };
}
