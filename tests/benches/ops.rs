//! Times every op, forward and backward, at the shapes of a DCGAN step with batch 128, and prints a table.
//!
//! `cargo bench --bench ops`. Backward times include what candle's autograd adds for each gradient (zeros, then a
//! sum). Products state their share of the rate of a large matrix product on the same threads, measured first.
//! Convolutions of residual networks follow, the two ways of 3 x 3 in turn.

#![allow(clippy::print_stdout)] // the table is all it is for

use candle_core::{DType, Device, Result, Tensor, Var};
use gan::ops::{self, Activation, AdamStep};
use gan::rng::Stream;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;
const LEAKY: Activation = Activation::LeakyRelu(0.01);

fn main() -> Result<()> {
    let rate = product_rate()?;
    println!("{} threads, matrix product {rate:.0} GFLOP/s", rayon::current_num_threads());
    println!("{:<44} {:>8} {:>8} {:>7} {:>6} {:>6}", "op", "forward", "backward", "GFLOP", "share", "share");
    linears(rate)?;
    convolutions(rate)?;
    residual_networks(rate)?;
    others(rate)?;
    in_place()
}

fn linears(rate: f64) -> Result<()> {
    let shapes = [(96, 1024, Activation::Relu), (1024, 6272, Activation::Relu), (1024, 1024, LEAKY)];
    for (inputs, outputs, activation) in shapes.into_iter().chain([(1024, 1, Activation::Identity)]) {
        let arguments = [random(&[BATCH, inputs])?, random(&[outputs, inputs])?, random(&[outputs])?];
        let op = |x: &[Tensor]| ops::linear(&x[0], &x[1], Some(&x[2]), activation);
        let work = 2e-9 * (BATCH * inputs * outputs) as f64;
        report(&format!("linear {inputs} -> {outputs}"), &op, &arguments, 0, work, rate)?;
    }
    Ok(())
}

fn convolutions(rate: f64) -> Result<()> {
    for (side, channels, features, untracked) in [(28, 1, 32, 1), (28, 1, 32, 0), (12, 32, 64, 0)] {
        let arguments =
            [random(&[BATCH, side, side, channels])?, random(&[features, channels, 5, 5])?, random(&[features])?];
        let op = |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 0, LEAKY);
        let work = 2e-9 * (BATCH * (side - 4) * (side - 4) * channels * features * 25) as f64;
        let suffix = if untracked > 0 { ", no input gradient" } else { "" };
        report(&format!("conv2d {channels} -> {features} 5x5{suffix}"), &op, &arguments, untracked, work, rate)?;
    }
    for (side, channels, features, activation) in [(7, 128, 64, Activation::Relu), (14, 64, 1, Activation::Tanh)] {
        let arguments =
            [random(&[BATCH, side, side, channels])?, random(&[channels, features, 4, 4])?, random(&[features])?];
        let op = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, activation);
        let work = 2e-9 * (BATCH * side * side * channels * features * 16) as f64;
        report(&format!("conv_transpose2d {channels} -> {features} 4x4"), &op, &arguments, 0, work, rate)?;
    }
    Ok(())
}

/// The convolutions of a ResNet-18 and of one half as wide on images of 32 x 32. Those of 3 x 3 with stride 1 go by
/// Winograd; on an image that brings its padding along they are products of patches instead, with the same places and
/// terms. Both are timed in turn and the best of the rounds is taken: what others do on the machine only adds to it.
fn residual_networks(rate: f64) -> Result<()> {
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8}",
        "op, GFLOP/s of the plain sum", "forward", "patches", "backward", "patches"
    );
    let shapes = [32, 16, 8, 4].into_iter().zip([(32, 64), (64, 128), (128, 256), (256, 512)]);
    for (side, widths) in shapes {
        for width in [widths.0, widths.1] {
            let weight = [random(&[width, width, 3, 3])?, random(&[width])?];
            let ways = [(side, 1), (side + 2, 0)].map(|(side, padding)| {
                let x = random(&[BATCH, side, side, width])?;
                Timed::new([&[x], &weight[..]].concat(), move |x| {
                    ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, padding, Activation::Identity)
                })
            });
            let [winograd, patches] = ways;
            let [winograd, patches] = [winograd?, patches?];
            let mut best = [[f64::INFINITY; 2]; 2];
            for _ in 0..7 {
                for (best, way) in best.iter_mut().zip([&winograd, &patches]) {
                    best[0] = best[0].min(way.forward()?.as_secs_f64());
                    best[1] = best[1].min(way.backward()?.as_secs_f64());
                }
            }
            let work = 18e-9 * (BATCH * side * side * width * width) as f64;
            let [[forward, backward], [forward_of_patches, backward_of_patches]] = best;
            println!(
                "{:<44} {:>8.0} {:>8.0} {:>8.0} {:>8.0}",
                format!("conv2d {width} -> {width} 3x3 on {side} x {side}"),
                work / forward,
                work / forward_of_patches,
                2.0 * work / backward,
                2.0 * work / backward_of_patches
            );
        }
    }
    for (side, channels, features) in [(32, 64, 128), (16, 128, 256), (8, 256, 512)] {
        for (size, stride) in [(3, 2), (1, 1), (1, 2)] {
            let arguments = [random(&[BATCH, side, side, channels])?, random(&[features, channels, size, size])?];
            let op = |x: &[Tensor]| ops::conv2d(&x[0], &x[1], None, stride, size / 2, Activation::Identity);
            let places = BATCH * (side / stride) * (side / stride);
            let work = 2e-9 * (places * channels * features * size * size) as f64;
            let name = format!("conv2d {channels} -> {features} {size}x{size} on {side} x {side}, stride {stride}");
            report(&name, &op, &arguments, 0, work, rate)?;
        }
    }
    Ok(())
}

/// An op with all of its arguments as variables.
struct Timed<F> {
    op: F,
    arguments: Vec<Var>,
}

impl<F: Fn(&[Tensor]) -> Result<Tensor>> Timed<F> {
    fn new(arguments: Vec<Tensor>, op: F) -> Result<Self> {
        Ok(Self { op, arguments: arguments.iter().map(Var::from_tensor).collect::<Result<_>>()? })
    }

    fn output(&self) -> Result<Tensor> {
        (self.op)(&self.arguments.iter().map(|argument| argument.as_tensor().clone()).collect::<Vec<_>>())
    }

    fn forward(&self) -> Result<Duration> {
        timed(|| self.output().map(drop))
    }

    fn backward(&self) -> Result<Duration> {
        let loss = self.output()?.sum_all()?;
        timed(|| loss.backward().map(drop))
    }
}

fn others(rate: f64) -> Result<()> {
    for dims in [&[BATCH, 1024][..], &[BATCH, 6272], &[BATCH, 14, 14, 64]] {
        let channels = dims[dims.len() - 1];
        let arguments = [random(dims)?, random(&[channels])?, random(&[channels])?];
        let train = |x: &[Tensor]| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, Activation::Identity)?.output);
        report(&format!("batch_norm_train {dims:?}"), &train, &arguments, 0, 0.0, rate)?;
    }
    for dims in [[BATCH, 24, 24, 32], [BATCH, 8, 8, 64]] {
        report(&format!("max_pool2d {dims:?}"), &|x| ops::max_pool2d(&x[0], 2), &[random(&dims)?], 0, 0.0, rate)?;
    }
    for dims in [[BATCH, 128, 7, 7], [BATCH, 64, 4, 4]] {
        report(&format!("channels_last {dims:?}"), &|x| ops::channels_last(&x[0]), &[random(&dims)?], 0, 0.0, rate)?;
    }
    let dims = [BATCH, 1024];
    report("activate tanh", &|x| ops::activate(&x[0], Activation::Tanh), &[random(&dims)?], 0, 0.0, rate)
}

fn in_place() -> Result<()> {
    let len = 6_675_009; // the DCGAN generator
    let [parameter, first, second] = [random(&[len])?, random(&[len])?, random(&[len])?];
    let [first, second] = [(first * 0.1)?, second.sqr()?];
    let gradient = random(&[len])?;
    let [parameter, first, second] =
        [Var::from_tensor(&parameter)?, Var::from_tensor(&first)?, Var::from_tensor(&second)?];
    let step = AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, step: 100 };
    let adam = median(|| timed(|| ops::adam_step(&parameter, &gradient, &first, &second, &step)))?;
    println!("{:<44} {:>8.2}   {:.1} GB/s", format!("adam_step [{len}]"), adam * 1e3, 28e-9 * len as f64 / adam);
    let lerp = median(|| timed(|| ops::lerp_in_place(&first, &gradient, 0.01)))?;
    println!("{:<44} {:>8.2}   {:.1} GB/s", format!("lerp_in_place [{len}]"), lerp * 1e3, 12e-9 * len as f64 / lerp);
    Ok(())
}

/// Times `op` with all but the first `untracked` arguments as variables. `work` is the GFLOP of one product; the
/// backward pass has one for the weight, and one for the input where it is tracked.
fn report(
    name: &str,
    op: &dyn Fn(&[Tensor]) -> Result<Tensor>,
    arguments: &[Tensor],
    untracked: usize,
    work: f64,
    rate: f64,
) -> Result<()> {
    let mut tracked = arguments[..untracked].to_vec();
    for argument in &arguments[untracked..] {
        tracked.push(Var::from_tensor(argument)?.as_tensor().clone());
    }
    let output = op(&tracked)?;
    let weights = random(output.dims())?;
    let bare = Var::from_tensor(&output)?;
    let backward = |output: &Tensor| {
        let loss = (output * &weights)?.sum_all()?;
        timed(|| loss.backward().map(drop))
    };
    let forward = median(|| timed(|| op(&tracked).map(drop)))?;
    let around = median(|| backward(&bare))?;
    let whole = median(|| backward(&op(&tracked)?))?;
    let back = (whole - around).max(0.0);
    let products = if untracked > 0 { 1.0 } else { 2.0 };
    print!("{name:<44} {:>8.2} {:>8.2}", forward * 1e3, back * 1e3);
    if work > 0.0 {
        let share = |seconds: f64, work: f64| 100.0 * work / seconds / rate;
        print!(" {work:>7.3} {:>5.0}% {:>5.0}%", share(forward, work), share(back, products * work));
    }
    println!();
    Ok(())
}

/// The rate of a large product cut into tiles as the ops cut theirs, in GFLOP/s.
fn product_rate() -> Result<f64> {
    let side = 2048;
    let (x, weight) = (random(&[side, side])?, random(&[side, side])?);
    let seconds = median(|| timed(|| ops::linear(&x, &weight, None, Activation::Identity).map(drop)))?;
    Ok(2e-9 * (side * side * side) as f64 / seconds)
}

fn random(dims: &[usize]) -> Result<Tensor> {
    let mut generator = Stream::new(0, "bench").at(0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(DType::F32)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// The median in seconds of as many runs as fit into a third of a second, at least nine.
fn median(mut run: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 9 || start.elapsed() < Duration::from_millis(300) {
        times.push(run()?);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64())
}
