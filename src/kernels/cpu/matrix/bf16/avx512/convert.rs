//! From f32 to pairs of bf16.

use super::are_there;
use crate::kernels::cpu::matrix::bf16::{Rows, pairs};
use std::arch::x86_64::*;

/// Lanes of a vector of f32, and so of pairs.
const LANES: usize = 16;

/// The values of each row as pairs, row after row; an odd one is paired with zero.
pub fn pairs_along(from: Rows, to: &mut [u32]) {
    let pairs = pairs(from.len);
    assert!(are_there(), "bf16 is refused where a CPU does not have it");
    assert!(to.len() == from.count * pairs && from.fit());
    if pairs > 0 {
        // SAFETY: the instructions are there; `values` has the rows, and `to` a place for each of their pairs.
        unsafe { along(from, pairs, to) }
    }
}

/// The pairs that the first and second row make, the third and fourth, and so on, `pitch` from the start of one row of
/// pairs to the next; an odd row is paired with zeros.
pub fn pairs_across(from: Rows, to: &mut [u32], pitch: usize) {
    let pairs = pairs(from.count);
    assert!(are_there(), "bf16 is refused where a CPU does not have it");
    assert!(from.fit() && (pairs == 0 || (pairs - 1) * pitch + from.len <= to.len()));
    // SAFETY: the instructions are there; `values` has the rows, and `to` a place for each of their pairs.
    unsafe { across(from, pairs, to, pitch) }
}

/// SAFETY: `from` must fit, and `to` must have `pairs` places for each of its rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn along(from: Rows, pairs: usize, to: &mut [u32]) {
    for (row, to) in to.chunks_exact_mut(pairs).enumerate() {
        for start in (0..pairs).step_by(LANES) {
            let rest = from.len - 2 * start;
            // SAFETY: as promised by the caller, and the masks keep to what is left of the row and of its pairs.
            unsafe {
                let values = from.values.as_ptr().add(row * from.stride + 2 * start);
                let low = _mm512_maskz_loadu_ps(first(rest), values);
                let high = _mm512_maskz_loadu_ps(first(rest.saturating_sub(LANES)), values.wrapping_add(LANES));
                let both = integers(_mm512_cvtne2ps_pbh(high, low));
                _mm512_mask_storeu_epi32(to.as_mut_ptr().add(start).cast(), first(pairs - start), both);
            }
        }
    }
}

/// SAFETY: `from` must fit, and `to` must have `pairs` rows of `from.len` places, `pitch` from one to the next.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn across(from: Rows, pairs: usize, to: &mut [u32], pitch: usize) {
    // A vector has the values of the first row in its lower half: each is followed by that of the upper half.
    let order: [u16; 32] = std::array::from_fn(|index| (index / 2 + index % 2 * LANES) as u16);
    // SAFETY: the array has the size of the vector.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for pair in 0..pairs {
        for start in (0..from.len).step_by(LANES) {
            let inside = first(from.len - start);
            // SAFETY: as promised by the caller, and the mask keeps to what is left of the rows.
            unsafe {
                let values = from.values.as_ptr().add(2 * pair * from.stride + start);
                let low = _mm512_maskz_loadu_ps(inside, values);
                let second = if 2 * pair + 1 < from.count { inside } else { 0 };
                let high = _mm512_maskz_loadu_ps(second, values.wrapping_add(from.stride));
                let both = integers(_mm512_cvtne2ps_pbh(high, low));
                let to = to.as_mut_ptr().add(pair * pitch + start);
                _mm512_mask_storeu_epi32(to.cast(), inside, _mm512_permutexvar_epi16(order, both));
            }
        }
    }
}

/// The first `count` lanes.
fn first(count: usize) -> __mmask16 {
    ((1u32 << count.min(LANES)) - 1) as __mmask16
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn integers(values: __m512bh) -> __m512i {
    // SAFETY: both are plain data of 64 bytes.
    unsafe { std::mem::transmute(values) }
}
