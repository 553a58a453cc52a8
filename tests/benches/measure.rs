//! How an op is timed: forward and backward, as work of a kind a second.

use candle_core::{Device, Result, Tensor, Var};
use criterion::measurement::WallTime;
use criterion::{Bencher, BenchmarkGroup, Throughput};
use gan::autograd::{self, Precision};
use gan::rng::Stream;
use std::time::{Duration, Instant};

pub type Group<'a> = BenchmarkGroup<'a, WallTime>;

pub type Op<'a> = &'a (dyn Fn(&[Tensor]) -> Result<Tensor> + Sync);

/// Forward and backward of `op` on arguments of these dimensions, all but the first `untracked` of them variables.
pub fn measure(
    group: &mut Group,
    name: &str,
    op: Op,
    dims: &[&[usize]],
    untracked: usize,
    [forward, backward]: [Throughput; 2],
) -> Result<()> {
    let arguments = || -> Result<Vec<Tensor>> {
        let each = dims.iter().enumerate().map(|(index, dims)| {
            let argument = random(dims, &format!("argument {index}"))?;
            Ok(if index < untracked { argument } else { Var::from_tensor(&argument)?.into_inner() })
        });
        each.collect()
    };
    group.throughput(forward);
    fallible(group, &format!("forward/{name}"), |bencher| {
        let arguments = arguments()?;
        op(&arguments)?;
        bencher.iter(|| autograd::training_step(Precision::F32, || op(&arguments)));
        Ok(())
    })?;
    if untracked == dims.len() {
        return Ok(());
    }
    group.throughput(backward);
    fallible(group, &format!("backward/{name}"), |bencher| {
        let arguments = arguments()?;
        let backward = || -> Result<Duration> {
            autograd::training_step(Precision::F32, || {
                let output = op(&arguments)?;
                let began = Instant::now();
                autograd::backward(&output)?;
                Ok(began.elapsed())
            })
        };
        backward()?;
        bencher.iter_custom(|times| (0..times).filter_map(|_| backward().ok()).sum());
        Ok(())
    })
}

/// Adds a benchmark whose preparation may fail. What it times has been tried there, so that no error is timed.
pub fn fallible(group: &mut Group, name: &str, mut run: impl FnMut(&mut Bencher) -> Result<()>) -> Result<()> {
    let mut outcome = Ok(());
    group.bench_function(name, |bencher| outcome = run(bencher));
    outcome
}

/// Operations of a product forward and of the `gradients` products backward.
pub fn products(multiplications: usize, gradients: usize) -> [Throughput; 2] {
    [1, gradients].map(|products| Throughput::Elements((2 * multiplications * products) as u64))
}

/// Bytes of so many passes over an array of these dimensions, forward and backward.
pub fn passes(dims: &[usize], forward: usize, backward: usize) -> [Throughput; 2] {
    let bytes = 4 * dims.iter().product::<usize>();
    [forward, backward].map(|passes| Throughput::Bytes((passes * bytes) as u64))
}

/// Uniform in (-1, 1).
pub fn random(dims: &[usize], name: &str) -> Result<Tensor> {
    let mut generator = Stream::new(0, name).at(0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
}
