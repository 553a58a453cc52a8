//! Writing past the caches.

use crate::kernels::cpu::parallel::LINE;
use std::mem::MaybeUninit;

/// Copies all values of `from` to `to`, past the caches where the processor can. A store through them first reads the
/// line that it is about to overwrite, a third of the traffic of a copy, and drives out what would be read again.
pub fn stream(from: &[f32], to: &mut [MaybeUninit<f32>]) {
    assert_eq!(from.len(), to.len());
    // From the start of a line on, whole lines: the rest goes through the caches.
    let head = to.as_ptr().align_offset(LINE * size_of::<f32>()).min(to.len());
    let lines = (to.len() - head) / LINE;
    let (first, from) = from.split_at(head);
    let (to_first, to) = to.split_at_mut(head);
    let (whole, last) = from.split_at(lines * LINE);
    let (to_whole, to_last) = to.split_at_mut(lines * LINE);
    to_first.write_copy_of_slice(first);
    stream_lines(whole, to_whole);
    to_last.write_copy_of_slice(last);
}

/// The same of whole lines: `to` starts with one.
#[cfg(target_arch = "x86_64")]
fn stream_lines(from: &[f32], to: &mut [MaybeUninit<f32>]) {
    use std::arch::x86_64::{__m128, _mm_loadu_ps, _mm_sfence, _mm_stream_ps};
    assert!(to.is_empty() || to.as_ptr().cast::<__m128>().is_aligned());
    for (from, to) in from.as_chunks::<LINE>().0.iter().zip(to.as_chunks_mut::<LINE>().0) {
        for start in (0..LINE).step_by(4) {
            // SAFETY: both lines have four values from there on, and those of `to` start at a multiple of 16 bytes.
            unsafe { _mm_stream_ps(to.as_mut_ptr().add(start).cast(), _mm_loadu_ps(from.as_ptr().add(start))) }
        }
    }
    // SAFETY: it orders stores. These would otherwise not come before what tells other threads that they were made.
    unsafe { _mm_sfence() }
}

#[cfg(not(target_arch = "x86_64"))]
fn stream_lines(from: &[f32], to: &mut [MaybeUninit<f32>]) {
    to.write_copy_of_slice(from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_arrives_wherever_a_line_begins() {
        let from: Vec<f32> = (1..200).map(|value| value as f32).collect();
        for start in 0..2 * LINE {
            for len in [0, 1, 15, 16, 17, 100, 167] {
                let mut to = vec![MaybeUninit::new(0.0); 200];
                stream(&from[..len], &mut to[start..start + len]);
                // SAFETY: all values were initialized with zeros.
                let found: Vec<f32> = to.iter().map(|value| unsafe { value.assume_init() }).collect();
                let mut expected = vec![0.0; 200];
                expected[start..start + len].copy_from_slice(&from[..len]);
                assert_eq!(found, expected);
            }
        }
    }
}
