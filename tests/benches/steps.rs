//! Times bare training steps and draws, on data that lies ready: `cargo bench --bench steps -- dcgan`. What a run adds (loading, logging, grids, checkpoints) is the difference from
//! `images_per_second` of `gan train-gan --json`.

use candle_core::{Device, Tensor};
use clap::{Args, Command, FromArgMatches};
use criterion::{Criterion, Throughput};
use gan::data::digits::{self, Part};
use gan::latent_space::LatentSpace;
use gan::models::{Architecture, EncoderArchitecture, Generator};
use gan::params::Parameters;
use gan::pretrained;
use gan::rng::Stream;
use gan::train::adversaries::Adversaries;
use gan::train::contrastive::Contrastive;
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: gan::startup::Allocator = gan::startup::Allocator;

const DEVICE: Device = Device::Cpu;

fn main() -> anyhow::Result<()> {
    gan::startup::prepare(); // as the program does: memory that was freed is kept
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    for model in Architecture::ALL {
        adversaries(&mut criterion, model)?;
    }
    radford(&mut criterion)?;
    for encoder in EncoderArchitecture::ALL {
        contrastive(&mut criterion, encoder)?;
    }
    for count in [64, 1024] {
        draws(&mut criterion, count)?;
    }
    criterion.final_summary();
    Ok(())
}

/// A step of both networks on a batch of 128: "elem/s" are training images a second. On the data of a run, some batches
/// in turn: what the hidden layers leave zero, and with it the time of a product, depends on what they see.
fn adversaries(criterion: &mut Criterion, model: Architecture) -> anyhow::Result<()> {
    timed(criterion, "step", model.name(), 128, || {
        const BATCHES: usize = 64;
        let config: GanConfig = defaults(&["--model", model.name()])?;
        let (size, shape) = (config.batch_size, model.image_shape());
        let pixels = digits::first(Part::Train, BATCHES * size).pixels;
        let real = pixels.into_iter().map(|pixel| 2.0 * f32::from(pixel) / 255.0 - 1.0).collect::<Vec<_>>();
        let real = Tensor::from_vec(real, (BATCHES * size, shape.height, shape.width, shape.channels), &DEVICE)?;
        let latents = random(&[2 * BATCHES * size, config.latent_dim], "latents")?;
        let mut networks = Adversaries::new(&config, &DEVICE)?;
        let mut batches = (0..BATCHES).cycle();
        Ok(move || {
            let start = batches.next().unwrap_or_default() * size;
            let [first, second] = [2 * start, 2 * start + size].map(|start| latents.narrow(0, start, size));
            networks.step(&real.narrow(0, start, size)?, &first?, &second?).map(drop)
        })
    })
}

/// The same of Radford's networks at 64x64 in colour, on noise: their products take as long on any images.
fn radford(criterion: &mut Criterion) -> anyhow::Result<()> {
    timed(criterion, "step", "dcgan64", 128, || {
        let config: GanConfig = defaults(&["--image-size", "64", "--channels", "3", "--latent-dim", "100"])?;
        let (size, shape) = (config.batch_size, config.image_shape());
        let real = random(&[size, shape.height, shape.width, shape.channels], "real")?;
        let [first, second] = ["first", "second"].map(|name| random(&[size, config.latent_dim], name));
        let (first, second) = (first?, second?);
        let mut networks = Adversaries::new(&config, &DEVICE)?;
        Ok(move || networks.step(&real, &first, &second).map(drop))
    })
}

/// A step on two views of 64 images, of 128 by a transformer: "elem/s" are training images a second.
fn contrastive(criterion: &mut Criterion, encoder: EncoderArchitecture) -> anyhow::Result<()> {
    let pairs = if encoder.is_transformer() { 128 } else { 64 };
    timed(criterion, "step", encoder.name(), pairs, || {
        let batch_size = pairs.to_string();
        let config: SimclrConfig = defaults(&["--encoder", encoder.name(), "--batch-size", &batch_size])?;
        let shape = encoder.image_shape();
        let views = random(&[2 * config.batch_size, shape.height, shape.width, shape.channels], "views")?;
        let mut networks = Contrastive::new(&config, &DEVICE)?;
        Ok(move || networks.step(&views, 1e-3).map(drop))
    })
}

/// Images of a DCGAN as `gan sample` draws them.
fn draws(criterion: &mut Criterion, count: usize) -> anyhow::Result<()> {
    timed(criterion, "sample", &count.to_string(), count, || {
        const LATENT_DIM: usize = 96;
        let parameters = Parameters::new(0, "generator", &DEVICE);
        let (model, shape) = (Architecture::Dcgan, Architecture::Dcgan.image_shape());
        Generator::new(model, LATENT_DIM, shape, parameters.builder())?;
        let generator = Generator::new(model, LATENT_DIM, shape, parameters.frozen())?.folded()?;
        let latents = pretrained::latents(0, 0, count, LatentSpace::uniform(LATENT_DIM));
        Ok(move || pretrained::draw(&generator, &latents, LATENT_DIM, &DEVICE).map(drop))
    })
}

/// Times what `prepare` makes; an error there, or in its first run, is handed back.
fn timed<F: FnMut() -> candle_core::Result<()>>(
    criterion: &mut Criterion,
    group: &str,
    name: &str,
    images: usize,
    prepare: impl Fn() -> anyhow::Result<F>,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(images as u64));
    group.bench_function(name, |bencher| {
        outcome = prepare().and_then(|mut step| {
            step()?;
            bencher.iter(step);
            Ok(())
        });
    });
    group.finish();
    outcome
}

/// The configuration that a command has with these flags.
fn defaults<C: Args + FromArgMatches>(flags: &[&str]) -> anyhow::Result<C> {
    let matches = C::augment_args(Command::new("bench").no_binary_name(true)).try_get_matches_from(flags)?;
    Ok(C::from_arg_matches(&matches)?)
}

/// Uniform in (-1, 1).
fn random(dims: &[usize], name: &str) -> candle_core::Result<Tensor> {
    let mut generator = Stream::new(0, name).at(0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, &DEVICE)
}
