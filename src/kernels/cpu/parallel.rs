//! How work is shared by the threads: tiles cut by the shapes alone, so that results never depend on who computes them.
//!
//! Everything runs on rayon's current pool, whatever its size. A sum over tiles is added in their order.

use crate::kernels::cpu::stream::stream;
use rayon::prelude::*;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of a tile of an elementwise op: 128 KiB, so that input and output stay in a core's cache.
pub const TILE: usize = 32 * 1024;

/// Buffers of so many values, 64 MiB, do not stay in the caches until they are read: they are written past them
/// ([`stream`]), which takes 4 % off a ResNet-50's step. From 8 MiB on it added 3 to 6 % to that of smaller networks, on a
/// machine with a large third-level cache. The tests have no such tensors and begin earlier.
const STREAMED: usize = if cfg!(debug_assertions) { 1 << 16 } else { 1 << 24 };

/// In pieces of up to 512 KiB, which stay in a core's second-level cache.
pub const STREAMED_PIECE: usize = 1 << 17;

/// The range that tile `index` of `size` covers of `0..len`.
pub fn tile(index: usize, size: usize, len: usize) -> Range<usize> {
    index * size..((index + 1) * size).min(len)
}

/// As many whole rows of `columns` as fit into a [`TILE`], at least one.
pub fn rows_of_a_tile(columns: usize) -> usize {
    (TILE / columns.max(1)).max(1)
}

/// A new buffer of `len` values, written in tiles of `size` (the last may be shorter). `fill` gets the index of a tile
/// and its values, all zero; what it returns comes back in the order of the tiles.
pub fn fill_tiles<R: Send>(
    len: usize,
    size: usize,
    fill: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    let size = size.max(1);
    let sizes = (0..len.div_ceil(size)).map(|index| tile(index, size, len).len());
    in_pieces(sizes, Start::Zero, fill)
}

/// The same where `write` overwrites its tile whole: it finds arbitrary values in it (NaN in debug builds, so that the
/// tests see what it leaves out). Zeroing takes a tenth of a step of a convolutional network.
pub fn write_tiles<R: Send>(
    len: usize,
    size: usize,
    write: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    let size = size.max(1);
    write_pieces((0..len.div_ceil(size)).map(|index| tile(index, size, len).len()), write)
}

/// The same in pieces of any `sizes`.
pub fn write_pieces<R: Send>(
    sizes: impl Iterator<Item = usize> + Clone,
    write: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    in_pieces(sizes, Start::Arbitrary, write)
}

/// What a piece holds before it is written.
#[derive(Clone, Copy)]
enum Start {
    /// Zeros, written by the thread that goes on to fill the piece: it is then in its cache.
    Zero,
    Arbitrary,
}

/// A new buffer, which `fill` writes piece by piece. Pieces of a large one are written in memory of the thread, and from
/// there past the caches.
fn in_pieces<R: Send>(
    sizes: impl Iterator<Item = usize> + Clone,
    start: Start,
    fill: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> (Vec<f32>, Vec<R>) {
    let len = sizes.clone().sum();
    let mut buffer = Vec::with_capacity(len);
    let mut rest = &mut buffer.spare_capacity_mut()[..len];
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, after) = rest.split_at_mut(size);
        pieces.push(piece);
        rest = after;
    }
    let write = |(index, piece): (usize, &mut [MaybeUninit<f32>])| {
        if len >= STREAMED && piece.len() <= STREAMED_PIECE {
            return scratch(piece.len(), |values| {
                match start {
                    Start::Zero => values.fill(0.0),
                    Start::Arbitrary if cfg!(debug_assertions) => values.fill(f32::NAN),
                    Start::Arbitrary => {}
                }
                let result = fill(index, values);
                stream(values, piece);
                result
            });
        }
        match start {
            Start::Zero => fill(index, zeroed(piece)),
            Start::Arbitrary => fill(index, arbitrary(piece)),
        }
    };
    let results = pieces.into_par_iter().enumerate().with_max_len(1).map(write).collect();
    // SAFETY: the pieces cover the first `len` elements, each was initialized by `stream`, `zeroed` or `arbitrary`; the
    // capacity is at least `len`.
    unsafe { buffer.set_len(len) };
    (buffer, results)
}

fn zeroed(tile: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    tile.fill(MaybeUninit::new(0.0));
    // SAFETY: every element has just been written, and `MaybeUninit<f32>` has the layout of `f32`.
    unsafe { &mut *(std::ptr::from_mut(tile) as *mut [f32]) }
}

fn arbitrary(tile: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    if cfg!(any(debug_assertions, not(any(target_arch = "x86_64", target_arch = "aarch64")))) {
        tile.fill(MaybeUninit::new(f32::NAN));
    }
    // SAFETY: assembly that is given the address may have written to the memory, as far as the compiler can know: from
    // here on it has values, of which every pattern of bits is an f32. `MaybeUninit<f32>` has the layout of `f32`.
    unsafe {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        std::arch::asm!("/* {} */", in(reg) tile.as_mut_ptr(), options(nostack, preserves_flags));
        &mut *(std::ptr::from_mut(tile) as *mut [f32])
    }
}

/// A new row-major matrix, written in blocks. `fill` gets the rows and columns of a block and a contiguous scratch of
/// that shape, which it must overwrite whole.
pub fn fill_blocks(
    (rows, columns): (usize, usize),
    (block_rows, block_columns): (usize, usize),
    fill: impl Fn(Range<usize>, Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    struct Target(*mut f32);
    // SAFETY: the pointer is only used to write blocks, and no two blocks share an element.
    unsafe impl Sync for Target {}
    impl Target {
        /// SAFETY: `start + line.len()` must not exceed the capacity, and no other thread may touch that range.
        unsafe fn write(&self, start: usize, line: &[f32]) {
            // SAFETY: as promised by the caller; `line` is scratch, never part of the target.
            unsafe { std::ptr::copy_nonoverlapping(line.as_ptr(), self.0.add(start), line.len()) }
        }
    }

    let across = columns.div_ceil(block_columns);
    let mut matrix = Vec::with_capacity(rows * columns);
    let target = Target(matrix.as_mut_ptr());
    (0..rows.div_ceil(block_rows) * across).into_par_iter().with_max_len(1).for_each(|block| {
        let (of_rows, of_columns) =
            (tile(block / across, block_rows, rows), tile(block % across, block_columns, columns));
        scratch(of_rows.len() * of_columns.len(), |values| {
            fill(of_rows.clone(), of_columns.clone(), values);
            for (row, line) in of_rows.zip(values.chunks_exact(of_columns.len())) {
                // SAFETY: the line lies in row `row < rows` and in the columns of this block alone.
                unsafe { target.write(row * columns + of_columns.start, line) };
            }
        });
    });
    // SAFETY: the blocks cover the matrix, and each was written above.
    unsafe { matrix.set_len(rows * columns) };
    matrix
}

/// The results of `0..count`, in order.
pub fn map<R: Send>(count: usize, work: impl Fn(usize) -> R + Send + Sync) -> Vec<R> {
    (0..count).into_par_iter().with_max_len(1).map(work).collect()
}

/// The sum of two equally long parts, element by element.
pub fn sum_of(x: &[f32], y: &[f32]) -> Vec<f32> {
    let (sum, _) = write_tiles(x.len(), TILE, |index, sum| {
        let range = tile(index, TILE, x.len());
        sum.iter_mut().zip(&x[range.clone()]).zip(&y[range]).for_each(|((sum, x), y)| *sum = x + y);
    });
    sum
}

/// The same for small parts, added in f64.
pub fn add_in_order_f64(parts: &[Vec<f32>], len: usize) -> Vec<f64> {
    let mut sum = vec![0.0; len];
    for part in parts {
        for (sum, value) in sum.iter_mut().zip(part) {
            *sum += f64::from(*value);
        }
    }
    sum
}

/// Values of a cache line.
pub const LINE: usize = 16;

/// Lends `len` values of memory that the thread keeps for the next call, from the start of a cache line on. Their
/// content is arbitrary.
pub fn scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! { static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) } }
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len + LINE {
        buffer = vec![0.0; len + LINE];
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = work(&mut buffer[start..start + len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_tiles_cover_odd_shapes() {
        let expected: Vec<f32> = (0..7 * 11).map(|index| index as f32).collect();
        let blocks = fill_blocks((7, 11), (3, 4), |rows, columns, block| {
            let places = rows.flat_map(|row| columns.clone().map(move |column| row * 11 + column));
            block.iter_mut().zip(places).for_each(|(value, place)| *value = place as f32);
        });
        assert_eq!(blocks, expected);
        let (tiles, sizes) = fill_tiles(77, 10, |index, values| {
            assert!(values.iter().all(|value| *value == 0.0));
            values.iter_mut().enumerate().for_each(|(offset, value)| *value = (index * 10 + offset) as f32);
            values.len()
        });
        assert_eq!(tiles, expected);
        assert_eq!(sizes, [10, 10, 10, 10, 10, 10, 10, 7]);
        assert!(fill_blocks((0, 5), (3, 4), |_, _, _| ()).is_empty());
        assert!(fill_tiles(0, 0, |_, _| ()).0.is_empty());
        let (written, _) = write_tiles(77, 10, |index, values| {
            values.iter_mut().enumerate().for_each(|(offset, value)| *value = (index * 10 + offset) as f32);
        });
        assert_eq!(written, expected);
    }
}
