//! The program's allocator: mimalloc, but for large blocks, which are the tensors.
//!
//! A training step allocates hundreds of tensors of a few sizes, each a small multiple of another, and frees them in
//! another order. An allocator that keeps what was freed by its size, and mimalloc does that to 32 MiB and more, holds
//! memory for the peak of each size; one that gives it back to the system has it cleared again at every step, which made a
//! ResNet-18's step half as long again. Here large blocks lie in one range of addresses, as tight as they fit: a block that
//! is freed joins its free neighbours, and a new one is cut from the smallest free block that holds it. So a step needs
//! hardly more than what lives at one time, and the next step finds all of it in memory.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Blocks from this size on are large. Below, a block that was freed last is in the cache and best taken next, as
/// mimalloc does.
const LARGE: usize = 1 << 23;

/// Large blocks begin at multiples of this and are multiples of it long.
const UNIT: usize = 1 << 12;

/// mimalloc with a range of addresses of its own for large blocks. It is as large as the machine's memory, of which pages
/// are used once they are written to; where the system does not lend so many addresses, or more is needed, mimalloc
/// serves all.
pub struct Heap(Mutex<Option<Range>>);

impl Heap {
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The range, asked of the system when it is first needed.
    fn range(&self) -> MutexGuard<'_, Option<Range>> {
        // Nothing that holds it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_large(layout: Layout) -> bool {
        cfg!(all(target_os = "linux", target_pointer_width = "64")) && layout.size() >= LARGE && layout.align() <= UNIT
    }

    /// A large block, and whether it is known to be zero.
    fn take(&self, layout: Layout) -> Option<(*mut u8, bool)> {
        let found = self.range().get_or_insert_with(reserved).take(layout.size())?;
        Some((std::ptr::with_exposed_provenance_mut(found.start), found.is_fresh))
    }

    /// Whether the block was of the range and is free now.
    fn give(&self, block: *mut u8, layout: Layout) -> bool {
        self.range().as_mut().is_some_and(|range| range.give(block.addr(), layout.size()))
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a large block is a piece of the range that no other block overlaps (the tests hold `Range` to it), aligned to
// `UNIT`, until it is given back; what it is not asked for, or has no room for, is mimalloc's.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::is_large(layout).then(|| self.take(layout)).flatten() {
            Some((block, _)) => block,
            // SAFETY: the caller's promises are mimalloc's conditions.
            None => unsafe { MiMalloc.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Self::is_large(layout).then(|| self.take(layout)).flatten() {
            Some((block, is_zero)) => {
                if !is_zero {
                    // SAFETY: the block is so long, and nobody else has it yet.
                    unsafe { block.write_bytes(0, layout.size()) };
                }
                block
            }
            // SAFETY: the caller's promises are mimalloc's conditions.
            None => unsafe { MiMalloc.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !(Self::is_large(layout) && self.give(block, layout)) {
            // SAFETY: a block that is not of the range came from mimalloc.
            unsafe { MiMalloc.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller has made sure that the size is one that a layout may have.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if !Self::is_large(layout) && !Self::is_large(new) {
            // SAFETY: small blocks are mimalloc's.
            return unsafe { MiMalloc.realloc(block, layout, new_size) };
        }
        // SAFETY: as the caller has promised; the two blocks do not overlap, and each is as long as what is copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Addresses of as many bytes as the machine has memory; none if the system does not lend them.
fn reserved() -> Range {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    // SAFETY: the calls read a setting, and lend fresh memory that nothing else uses.
    unsafe {
        let [pages, size] = [libc::_SC_PHYS_PAGES, libc::_SC_PAGESIZE].map(|name| libc::sysconf(name));
        let len = usize::try_from(pages).unwrap_or(0) * usize::try_from(size).unwrap_or(0);
        let may = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let start = libc::mmap(std::ptr::null_mut(), len, may, kind, -1, 0);
        if start != libc::MAP_FAILED {
            // Without huge pages the first touch of 2 MiB is 512 faults; the system may refuse them.
            libc::madvise(start, len, libc::MADV_HUGEPAGE);
            return Range::new(start.expose_provenance(), len);
        }
    }
    Range::new(0, 0)
}

/// Which parts of a range of addresses are free.
struct Range {
    start: usize,
    end: usize,
    /// From here on nothing was ever taken.
    fresh: usize,
    /// The free blocks below that, with their ends: no two of them touch.
    free: BTreeMap<usize, usize>,
    /// The same: length and start.
    by_size: BTreeSet<(usize, usize)>,
}

struct Found {
    start: usize,
    /// Whether no part of it was taken before.
    is_fresh: bool,
}

impl Range {
    fn new(start: usize, len: usize) -> Self {
        // Huge pages begin at multiples of their size, and blocks should share few.
        let aligned = start.next_multiple_of(1 << 21);
        let end = (start + len).max(aligned);
        Self { start: aligned, end, fresh: aligned, free: BTreeMap::new(), by_size: BTreeSet::new() }
    }

    /// The smallest free block of `size` bytes or more, the lowest of these, cut to size; where there is none the range
    /// grows.
    fn take(&mut self, size: usize) -> Option<Found> {
        let size = size.checked_next_multiple_of(UNIT)?;
        if let Some(&(len, start)) = self.by_size.range((size, 0)..).next() {
            self.remove(start, start + len);
            if len > size {
                self.insert(start + size, start + len);
            }
            return Some(Found { start, is_fresh: false });
        }
        // A free block at the end is the beginning of the new one.
        let last = self.free.last_key_value().filter(|(_, end)| **end == self.fresh).map(|(start, _)| *start);
        let start = last.unwrap_or(self.fresh);
        let end = start.checked_add(size).filter(|end| *end <= self.end)?;
        if last.is_some() {
            self.remove(start, self.fresh);
        }
        self.fresh = end;
        Some(Found { start, is_fresh: last.is_none() })
    }

    /// Frees a block that was taken with this size. Whether it is of the range.
    fn give(&mut self, mut start: usize, size: usize) -> bool {
        if !(self.start..self.end).contains(&start) {
            return false;
        }
        let mut end = start + size.next_multiple_of(UNIT);
        if let Some((&before, _)) = self.free.range(..start).next_back().filter(|(_, end)| **end == start) {
            self.remove(before, start);
            start = before;
        }
        if let Some(&after) = self.free.get(&end) {
            self.remove(end, after);
            end = after;
        }
        self.insert(start, end);
        true
    }

    fn insert(&mut self, start: usize, end: usize) {
        self.free.insert(start, end);
        self.by_size.insert((end - start, start));
    }

    fn remove(&mut self, start: usize, end: usize) {
        self.free.remove(&start);
        self.by_size.remove(&(end - start, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn blocks_never_overlap_and_free_ones_join() {
        const BASE: usize = 1 << 30;
        let mut range = Range::new(BASE + 5, 64 << 20);
        let mut random = Stream::new(3, "heap").at(0);
        let mut below = |limit: usize| (random.symmetric().abs() * limit as f32) as usize;
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for _ in 0..20_000 {
            if taken.is_empty() || below(100) < 55 {
                let size = 1 + below(4 << 20);
                let Some(found) = range.take(size) else { continue };
                let end = found.start + size;
                assert!(found.start >= BASE && end <= BASE + 5 + (64 << 20) && found.start.is_multiple_of(UNIT));
                assert!(taken.iter().all(|(start, size)| end <= *start || found.start >= start + size));
                taken.push((found.start, size));
            } else {
                let (start, size) = taken.swap_remove(below(taken.len()));
                assert!(range.give(start, size));
            }
            let free: Vec<(usize, usize)> = range.free.iter().map(|(start, end)| (*start, *end)).collect();
            assert!(free.windows(2).all(|pair| pair[0].1 < pair[1].0), "free blocks that touch are one");
            assert!(free.iter().all(|(start, end)| range.by_size.contains(&(end - start, *start))));
            assert_eq!(range.by_size.len(), free.len());
            let whole: usize = taken.iter().map(|(_, size)| size.next_multiple_of(UNIT)).sum();
            assert_eq!(whole + free.iter().map(|(start, end)| end - start).sum::<usize>(), range.fresh - range.start);
        }
        taken.iter().for_each(|(start, size)| assert!(range.give(*start, *size)));
        assert_eq!(range.free.len(), 1);
        assert!(!range.give(BASE, 1) && !range.give(BASE << 1, 1));
    }

    #[test]
    fn a_step_that_is_repeated_takes_no_more_than_the_first() {
        let mut range = Range::new(1 << 30, 1 << 30);
        let mut ends = Vec::new();
        for _ in 0..5 {
            let sizes = [33, 33, 134, 67, 33, 134, 17, 67].map(|size| size << 20);
            let mut held: Vec<_> = sizes.iter().map(|size| (range.take(*size).unwrap().start, *size)).collect();
            while let Some((start, size)) = held.pop() {
                let gradient = range.take(size).unwrap().start;
                range.give(start, size);
                range.give(gradient, size);
            }
            ends.push(range.fresh);
        }
        assert!(ends.iter().all(|end| *end == ends[0]));
        assert!(ends[0] - range.start <= (518 + 67) << 20);
    }

    #[test]
    fn the_heap_keeps_what_is_written() {
        let heap = Heap::new();
        let mut blocks: Vec<(*mut u8, Layout, u8)> = Vec::new();
        for round in 0..60u8 {
            // From small ones of mimalloc to large ones of the range.
            let layout = Layout::from_size_align((usize::from(round) % 7 + 1) * 2_400_000 + 1, 64).unwrap();
            // SAFETY: the size is not zero; each block is freed once, with the layout it has then.
            unsafe {
                let block = heap.alloc_zeroed(layout);
                assert!(!block.is_null() && block.addr().is_multiple_of(64));
                assert!(std::slice::from_raw_parts(block, layout.size()).iter().all(|byte| *byte == 0));
                block.write_bytes(round, layout.size());
                blocks.push((block, layout, round));
                if round % 3 == 0 {
                    let (block, layout, value) = blocks.swap_remove(blocks.len() / 2);
                    let new_size = 16_000_000 - layout.size() / 2;
                    let moved = heap.realloc(block, layout, new_size);
                    let kept = std::slice::from_raw_parts(moved, layout.size().min(new_size));
                    assert!(kept.iter().all(|byte| *byte == value));
                    heap.dealloc(moved, Layout::from_size_align(new_size, 64).unwrap());
                }
            }
        }
        for (block, layout, value) in blocks {
            // SAFETY: as above.
            unsafe {
                assert!(std::slice::from_raw_parts(block, layout.size()).iter().all(|byte| *byte == value));
                heap.dealloc(block, layout);
            }
        }
    }
}
