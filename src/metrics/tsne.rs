//! A map in which neighbours stay neighbours: t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR
//! 2008), exact, for a few thousand points.
//!
//! Started from the principal components (Kobak and Berens, "The art of using t-SNE for single-cell transcriptomics",
//! 2019), so that the map is a function of the features alone; the same bytes on any number of threads.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::host_rows;
use crate::metrics::projection::pca;
use crate::ops::{Activation, linear};

/// About how many neighbours each point has.
const PERPLEXITY: f64 = 30.0;
/// Rounds in which neighbours attract each other more strongly, by this factor, so that clusters form; then the others.
const EARLY_ROUNDS: usize = 250;
const EXAGGERATION: f32 = 12.0;
const ROUNDS: usize = 750;
const MOMENTA: (f32, f32) = (0.5, 0.8);
/// Spread of the points at the start, so small that they are free to part.
const START_SPREAD: f64 = 1e-4;
/// The step is the number of points over this (Belkina et al., 2019), or at least so long, as in scikit-learn.
const STEP_PART: f32 = 4.0 * EXAGGERATION;
const SHORTEST_STEP: f32 = 50.0;
/// Pairs whose forces are added up side by side.
const LANES: usize = 8;
/// Where the places of a row's last lanes lie that hold no point: too far to exert any force.
const FAR: f32 = 1e18;

/// Places of `features` (N, D) in the plane. Time and memory grow with N², a few seconds at 2,000 on two cores.
/// Fewer than 4 points, or points that coincide, are placed by their principal components. An error where a feature is
/// NaN or infinite.
pub fn tsne(features: &Tensor) -> Result<Vec<[f64; 2]>> {
    let count = features.dim(0)?;
    if count == 0 {
        bail!("a map needs at least one row of features");
    }
    let start = pca(features, 2)?.points;
    let spread = (start.iter().map(|point| point[0] * point[0]).sum::<f64>() / count as f64).sqrt();
    if count < 4 || spread == 0.0 {
        return Ok(start.iter().map(|point| [point[0], point[1]]).collect());
    }
    let affinities = Affinities::of(&squared_distances(features)?, count);
    let along = |axis: usize| {
        let places = start.iter().map(|point| (point[axis] / spread * START_SPREAD) as f32);
        places.chain(std::iter::repeat(FAR)).take(affinities.width).collect()
    };
    let mut map = Map::new([along(0), along(1)], count);
    for round in 0..ROUNDS {
        let (exaggeration, momentum) = if round < EARLY_ROUNDS { (EXAGGERATION, MOMENTA.0) } else { (1.0, MOMENTA.1) };
        map.step(&affinities, exaggeration, momentum);
    }
    Ok((0..count).map(|point| [0, 1].map(|axis| f64::from(map.places[axis][point]))).collect())
}

/// ||a - b||² of all pairs of rows: (N, N), up to one factor for all.
fn squared_distances(features: &Tensor) -> Result<Vec<f64>> {
    let (mut values, count, width) = host_rows(features)?;
    // About their middle and of size 1: products lose least there, and none overflows.
    let means: Vec<f64> = (0..width)
        .map(|column| {
            values.iter().skip(column).step_by(width).map(|&value| f64::from(value)).sum::<f64>() / count as f64
        })
        .collect();
    let largest = values.iter().fold(0.0f64, |largest, &value| largest.max(f64::from(value).abs()));
    for row in values.chunks_exact_mut(width) {
        row.iter_mut().zip(&means).for_each(|(value, mean)| *value = ((f64::from(*value) - mean) / largest) as f32);
    }
    let points = Tensor::from_vec(values, (count, width), &candle_core::Device::Cpu)?;
    let (products, ..) = host_rows(&linear(&points, &points, None, Activation::Identity)?)?; // (N, N)
    let pair = |place: usize| {
        let (row, column) = (place / count, place % count);
        let squares = f64::from(products[row * (count + 1)]) + f64::from(products[column * (count + 1)]);
        (squares - 2.0 * f64::from(products[place])).max(0.0)
    };
    Ok((0..count * count).into_par_iter().map(pair).collect())
}

/// How near all pairs of points are to each other: p_ij, symmetric, 1 in sum.
struct Affinities {
    /// (N, width), the columns past N zeros
    values: Vec<f32>,
    /// N, rounded up to whole lanes.
    width: usize,
}

impl Affinities {
    /// Gaussian about each point, so wide that the perplexity is that wanted (equations 1 and 2); then symmetrised.
    fn of(squared_distances: &[f64], count: usize) -> Self {
        let entropy = PERPLEXITY.min((count - 1) as f64 / 3.0).ln();
        let rows: Vec<Vec<f64>> = squared_distances
            .par_chunks_exact(count)
            .enumerate()
            .map(|(index, distances)| neighbourhood(distances, index, entropy))
            .collect();
        let width = count.next_multiple_of(LANES);
        let mut values = vec![0.0; count * width];
        values.par_chunks_exact_mut(width).enumerate().for_each(|(index, row)| {
            for (other, value) in row.iter_mut().take(count).enumerate() {
                *value = ((rows[index][other] + rows[other][index]) / (2 * count) as f64) as f32;
            }
        });
        Self { values, width }
    }
}

/// p_j|i of one point: exp(-β d²) in parts of its sum, with the β at which the entropy is `entropy`, by bisection.
fn neighbourhood(distances: &[f64], own: usize, entropy: f64) -> Vec<f64> {
    const BISECTIONS: usize = 64;
    let others = || distances.iter().enumerate().filter(|&(index, _)| index != own);
    let nearest = others().map(|(_, &distance)| distance).fold(f64::INFINITY, f64::min);
    let mean = others().map(|(_, &distance)| distance - nearest).sum::<f64>() / (distances.len() - 1) as f64;
    let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, if mean > 0.0 { 1.0 / mean } else { 1.0 });
    let mut weights = Vec::new();
    for _ in 0..BISECTIONS {
        weights = distances.iter().map(|distance| (-beta * (distance - nearest)).exp()).collect();
        weights[own] = 0.0;
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let found: f64 = weights.iter().filter(|&&weight| weight > 0.0).map(|weight| -weight * weight.ln()).sum();
        if (found - entropy).abs() < 1e-6 {
            break;
        }
        (low, high) = if found > entropy { (beta, high) } else { (low, beta) };
        beta = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * beta };
    }
    weights
}

/// The points on their way.
struct Map {
    /// x and y, each as wide as a row of affinities
    places: [Vec<f32>; 2],
    velocities: [Vec<f32>; 2],
    /// A factor of the step for each coordinate: larger while it keeps its direction.
    gains: [Vec<f32>; 2],
    count: usize,
}

impl Map {
    fn new(places: [Vec<f32>; 2], count: usize) -> Self {
        let all = |value: f32| [vec![value; count], vec![value; count]];
        Self { places, velocities: all(0.0), gains: all(1.0), count }
    }

    /// The gradient of the Kullback-Leibler divergence (equation 5), with `affinities` times `exaggeration`: (N, 2).
    fn gradient(&self, affinities: &Affinities, exaggeration: f32) -> Vec<[f32; 2]> {
        let forces: Vec<Forces> = affinities
            .values
            .par_chunks_exact(affinities.width)
            .enumerate()
            .map(|(point, row)| Forces::on([0, 1].map(|axis| self.places[axis][point]), &self.places, row))
            .collect();
        // Each point has counted itself as its neighbour.
        let normaliser = forces.iter().map(|forces| f64::from(forces.sum)).sum::<f64>() - self.count as f64;
        let force = |forces: &Forces| {
            [0, 1].map(|axis| {
                let repulsion = (f64::from(forces.repulsion[axis]) / normaliser) as f32;
                4.0 * (exaggeration * forces.attraction[axis] - repulsion)
            })
        };
        forces.iter().map(force).collect()
    }

    /// Gradient descent with momentum and a gain for each coordinate, as in the paper's own program.
    fn step(&mut self, affinities: &Affinities, exaggeration: f32, momentum: f32) {
        let rate = (self.count as f32 / STEP_PART).max(SHORTEST_STEP);
        let gradient = self.gradient(affinities, exaggeration);
        for axis in [0, 1] {
            for (point, gradient) in gradient.iter().map(|gradient| gradient[axis]).enumerate() {
                let (velocity, gain) = (&mut self.velocities[axis][point], &mut self.gains[axis][point]);
                *gain = if *velocity * gradient < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                *velocity = momentum * *velocity - rate * *gain * gradient;
                self.places[axis][point] += *velocity;
            }
        }
    }
}

/// The sums over all other points that act on one.
struct Forces {
    /// Σ p_ij w_ij (y_i - y_j) with w_ij = 1 / (1 + ||y_i - y_j||²)
    attraction: [f32; 2],
    /// Σ w_ij² (y_i - y_j)
    repulsion: [f32; 2],
    /// Σ w_ij
    sum: f32,
}

impl Forces {
    fn on(own: [f32; 2], places: &[Vec<f32>; 2], affinities: &[f32]) -> Self {
        // Lane by lane, so that the compiler may take many at a time without changing the order of any sum.
        let mut sums = [[0.0f32; LANES]; 5];
        let lanes =
            places[0].chunks_exact(LANES).zip(places[1].chunks_exact(LANES)).zip(affinities.chunks_exact(LANES));
        for ((x, y), p) in lanes {
            for lane in 0..LANES {
                let (x, y) = (own[0] - x[lane], own[1] - y[lane]);
                let weight = 1.0 / (1.0 + x * x + y * y);
                let (attraction, repulsion) = (p[lane] * weight, weight * weight);
                sums[0][lane] += attraction * x;
                sums[1][lane] += attraction * y;
                sums[2][lane] += repulsion * x;
                sums[3][lane] += repulsion * y;
                sums[4][lane] += weight;
            }
        }
        let [attract_x, attract_y, repulse_x, repulse_y, sum] = sums.map(|lanes| lanes.iter().sum());
        Self { attraction: [attract_x, attract_y], repulsion: [repulse_x, repulse_y], sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ p_ij log(p_ij / q_ij), in f64.
    fn divergence(affinities: &Affinities, places: &[Vec<f32>; 2], count: usize) -> f64 {
        let weight = |i: usize, j: usize| {
            let squares = places.iter().map(|along| (f64::from(along[i]) - f64::from(along[j])).powi(2));
            1.0 / (1.0 + squares.sum::<f64>())
        };
        let pairs: Vec<(usize, usize)> =
            (0..count).flat_map(|i| (0..count).filter(move |&j| j != i).map(move |j| (i, j))).collect();
        let whole: f64 = pairs.iter().map(|&(i, j)| weight(i, j)).sum();
        let part = |&(i, j): &(usize, usize)| {
            let p = f64::from(affinities.values[i * affinities.width + j]);
            p * (p / (weight(i, j) / whole)).ln()
        };
        pairs.iter().map(part).sum()
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let count = 13; // no whole number of lanes
        let mut random = crate::rng::Stream::new(1, "test").at(0);
        let mut draw = |length: usize| (0..length).map(|_| random.symmetric()).collect::<Vec<f32>>();
        let features = Tensor::from_vec(draw(count * 3), (count, 3), &candle_core::Device::Cpu).unwrap();
        let affinities = Affinities::of(&squared_distances(&features).unwrap(), count);
        assert!((affinities.values.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let mut places = [draw(count), draw(count)];
        places.iter_mut().for_each(|along| along.resize(affinities.width, FAR));
        let gradient = Map::new(places.clone(), count).gradient(&affinities, 1.0);
        for (point, axis) in (0..count).flat_map(|point| [(point, 0), (point, 1)]) {
            let moved = |by: f32| {
                let mut places = places.clone();
                places[axis][point] += by;
                divergence(&affinities, &places, count)
            };
            let (step, found) = (1.0 / 256.0, f64::from(gradient[point][axis]));
            let expected = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            assert!((found - expected).abs() < 1e-4, "point {point}: {found}, expected {expected}");
        }
    }
}
