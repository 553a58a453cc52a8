//! The nearest others of each point, by the cosine of their features.

use candle_core::{Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::unit_rows;
use crate::ops::{Activation, linear};

/// Rows whose cosines to all others are held at a time: 100 MB at 50,000 points.
const BLOCK: usize = 512;

/// Of each row of `features` (N, D) the `k` other rows of the largest cosine with it, in descending order, each with the
/// cosine; of equal ones the first. Fewer where there are no `k` others.
pub fn neighbours(features: &Tensor, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    let rows = unit_rows(features)?.to_device(&Device::Cpu)?; // (N, D)
    let count = rows.dim(0)?;
    let mut found = Vec::with_capacity(count);
    for start in (0..count).step_by(BLOCK) {
        let some = rows.narrow(0, start, BLOCK.min(count - start))?;
        let cosines = linear(&some, &rows, None, Activation::Identity)?; // (B, N)
        let (cosines, _) = cosines.storage_and_layout();
        let Storage::Cpu(cosines) = &*cosines else { bail!("neighbours are found on the CPU") };
        let block = cosines.as_slice::<f32>()?.par_chunks_exact(count).enumerate();
        found.par_extend(block.map(|(row, cosines)| largest(cosines, start + row, k)));
    }
    Ok(found)
}

/// The `k` largest of `cosines` with their places, that at `own` left out.
fn largest(cosines: &[f32], own: usize, k: usize) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(k + 1);
    for (index, &cosine) in cosines.iter().enumerate().filter(|(index, _)| *index != own) {
        if best.len() < k || best.last().is_some_and(|(_, least)| cosine > *least) {
            let place = best.partition_point(|(_, nearer)| *nearer >= cosine);
            best.insert(place, (index as u32, cosine));
            best.truncate(k);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_cosines_come_first_and_no_point_is_its_own_neighbour() {
        let points = [[1.0f32, 0.0], [2.0, 0.1], [0.0, 3.0], [-1.0, 0.0]];
        let found = neighbours(&Tensor::new(&points, &Device::Cpu).unwrap(), 2).unwrap();
        let places: Vec<Vec<u32>> = found.iter().map(|row| row.iter().map(|(index, _)| *index).collect()).collect();
        assert_eq!(places, [[1, 2], [0, 2], [1, 0], [2, 1]]);
        assert!((found[0][0].1 - 2.0 / 4.01f32.sqrt()).abs() < 1e-6 && found[0][1].1 == 0.0);
        let all = neighbours(&Tensor::new(&points, &Device::Cpu).unwrap(), 9).unwrap();
        assert!(all.iter().all(|row| row.len() == 3));
    }
}
