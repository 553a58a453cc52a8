//! The lists of what is not zero.

use super::COLUMNS;
use crate::kernels::cpu::matrix::Matrix;
use crate::kernels::cpu::parallel::scratch;
use crate::kernels::cpu::simd::vectorised;
use crate::kernels::cpu::transpose::transpose_strided;

/// What some rows have in some columns, from the row with the fewest terms to that with the most: where the number of
/// terms changes seldom, the processor guesses right when a row ends.
pub struct List {
    pub values: Vec<f32>,
    /// Where the row of the right factor's block begins that each value is multiplied with.
    pub starts: Vec<u32>,
    pub pairs: Vec<Pair>,
    /// Of the rows: each start is that of a block with so many rows.
    pub columns: usize,
}

/// Two rows (the last may be one row twice), which can be summed at the same time, so that one's additions need not wait
/// for each other. The shorter one's terms are filled up with zeros.
pub struct Pair {
    pub rows: [usize; 2],
    /// The terms of each, and those of the first before it was filled up.
    pub terms: usize,
    fewer: usize,
}

/// How many values are not zero.
pub fn count(values: &[f32]) -> usize {
    vectorised(
        #[inline(always)]
        || values.iter().map(|value| u32::from(*value != 0.0)).sum::<u32>() as usize,
    )
}

impl List {
    pub fn new(matrix: Matrix) -> Self {
        let Matrix { values, rows, columns, row_stride, column_stride } = matrix;
        if column_stride == 1 {
            return Self::of_rows(values, row_stride, rows, columns);
        }
        scratch(rows * columns, |turned| {
            transpose_strided((values, column_stride), columns, rows, (turned, columns));
            Self::of_rows(turned, columns, rows, columns)
        })
    }

    fn of_rows(matrix: &[f32], stride: usize, rows: usize, columns: usize) -> Self {
        let row = |index: usize| &matrix[index * stride..][..columns];
        let mut order: Vec<(usize, usize)> = (0..rows).map(|index| (count(row(index)), index)).collect();
        order.sort_unstable();
        let pair = |rows: &[(usize, usize)]| {
            let last = rows[rows.len() - 1];
            Pair { rows: [rows[0].1, last.1], terms: last.0, fewer: rows[0].0 }
        };
        let pairs: Vec<Pair> = order.chunks(2).map(pair).collect();
        let len = pairs.iter().map(|pair| 2 * pair.terms).sum::<usize>() + VECTOR;
        let (mut values, mut starts) = (vec![0.0; len], vec![0; len]);
        let mut begin = 0;
        for pair in &pairs {
            for (place, terms) in pair.rows.into_iter().zip([pair.fewer, pair.terms]) {
                note_terms(row(place), &mut values[begin..], &mut starts[begin..]);
                let padding = begin + terms..begin + pair.terms;
                values[padding.clone()].fill(0.0);
                starts[padding].fill(0);
                begin += pair.terms;
            }
        }
        Self { values, starts, pairs, columns }
    }
}

/// Values that are looked at together: so many are written after the last term.
pub const VECTOR: usize = 16;

/// Writes the terms of a row to the start of `values` and `starts`, and arbitrary ones after them, up to [`VECTOR`].
pub fn note_terms(row: &[f32], values: &mut [f32], starts: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V4::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || note_terms_by_vectors(simd, row, values, starts),
        );
    }
    note_terms_one_by_one(row, 0, values, starts);
}

/// Of the values from place `start` of a row on.
#[inline(always)]
pub fn note_terms_one_by_one(row: &[f32], start: usize, values: &mut [f32], starts: &mut [u32]) {
    let mut len = 0;
    for (index, value) in row.iter().enumerate() {
        // Written always and kept sometimes: a branch would be guessed wrong every other time.
        (values[len], starts[len]) = (*value, ((start + index) * COLUMNS) as u32);
        len += usize::from(*value != 0.0);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn note_terms_by_vectors(simd: pulp::x86::V4, row: &[f32], values: &mut [f32], starts: &mut [u32]) {
    use pulp::cast;
    const FIRST: [u32; VECTOR] = {
        let mut starts = [0; VECTOR];
        let mut index = 0;
        while index < VECTOR {
            starts[index] = (index * COLUMNS) as u32;
            index += 1;
        }
        starts
    };
    let (vectors, rest) = row.as_chunks::<VECTOR>();
    let step = simd.avx512f._mm512_set1_epi32((VECTOR * COLUMNS) as i32);
    let mut places = cast(FIRST);
    let mut len = 0;
    for vector in vectors {
        let vector = cast(*vector);
        let kept = simd.avx512f._mm512_cmpneq_ps_mask(vector, cast([0.0f32; VECTOR]));
        let room = (values[len..].first_chunk_mut(), starts[len..].first_chunk_mut());
        let (Some(to_values), Some(to_starts)) = room else { unreachable!("there is room for a vector more") };
        *to_values = cast::<_, [f32; VECTOR]>(simd.avx512f._mm512_maskz_compress_ps(kept, vector));
        *to_starts = cast::<_, [u32; VECTOR]>(simd.avx512f._mm512_maskz_compress_epi32(kept, places));
        len += kept.count_ones() as usize;
        places = simd.avx512f._mm512_add_epi32(places, step);
    }
    note_terms_one_by_one(rest, VECTOR * vectors.len(), &mut values[len..], &mut starts[len..]);
}
