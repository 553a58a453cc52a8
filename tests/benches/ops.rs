//! Times every op, forward and backward, at the shapes of the networks that are trained with batches of 128.
//!
//! `cargo bench --bench ops -- FILTER`, where `conv2d` is an op and `backward/32 -> 64` one measurement of it. Rates
//! are floating-point operations a second ("elem/s") where an op is arithmetic: of the plain sum, whatever way the
//! kernel takes, with `linear/forward/2048 -> 2048` as what the machine can do. Where an op is traffic they are
//! bytes of the arrays it must read and write. Backward is from a gradient of ones, with what a step's tape adds.

// How an op is timed.
mod measure;

use candle_core::{Device, Result, Tensor, Var};
use criterion::{Criterion, Throughput};
use gan::data::augment::{self, Augmentation, ColourScale};
use gan::data::shapes::{self, Part};
use gan::device::DeviceChoice;
use gan::losses::adversarial::AdversarialLoss;
use gan::losses::nt_xent::nt_xent;
use gan::normalisation::Normalisation;
use gan::ops::{self, Activation, AdamStep, SgdRule, SgdStep};
use measure::{Group, fallible, measure, passes, products, random};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: gan::startup::Allocator = gan::startup::Allocator;

const BATCH: usize = 128;
const LEAKY: Activation = Activation::LeakyRelu(0.01);

fn main() -> Result<()> {
    gan::startup::prepare(); // as the program does: memory that was freed is kept
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    linear(&mut criterion.benchmark_group("linear"))?;
    conv2d(&mut criterion.benchmark_group("conv2d"))?;
    conv_transpose2d(&mut criterion.benchmark_group("conv_transpose2d"))?;
    batch_norm(&mut criterion.benchmark_group("batch_norm"))?;
    elementwise(&mut criterion.benchmark_group("elementwise"))?;
    pooling(&mut criterion.benchmark_group("pool"))?;
    layout(&mut criterion.benchmark_group("layout"))?;
    transformer(&mut criterion.benchmark_group("transformer"))?;
    losses(&mut criterion.benchmark_group("loss"))?;
    optimizers(&mut criterion.benchmark_group("optimizer"))?;
    augmentation(&mut criterion.benchmark_group("augment"))?;
    criterion.final_summary();
    Ok(())
}

fn linear(group: &mut Group) -> Result<()> {
    let plan = [
        (BATCH, 784, 256, LEAKY),
        (BATCH, 96, 1024, Activation::Relu),
        (BATCH, 1024, 1024, LEAKY),
        (BATCH, 1024, 6272, Activation::Relu),
        (BATCH, 1024, 1, Activation::Identity),
        (2048, 2048, 2048, Activation::Identity),
    ];
    for (rows, inputs, outputs, activation) in plan {
        let op = |x: &[Tensor]| ops::linear(&x[0], &x[1], Some(&x[2]), activation);
        let dims: [&[usize]; 3] = [&[rows, inputs], &[outputs, inputs], &[outputs]];
        let both = products(rows * inputs * outputs, 2);
        measure(group, &format!("{inputs} -> {outputs}"), &op, &dims, 0, both)?;
    }
    // As within a generator: a quarter of the inputs and half of the outputs are not zero. What is counted is all of it.
    let inputs = Var::from_tensor(&(random(&[BATCH, 1024], "zeros")? - 0.5)?.relu()?)?.into_inner();
    let op = |x: &[Tensor]| ops::linear(&inputs, &x[0], Some(&x[1]), Activation::Relu);
    let both = products(BATCH * 1024 * 1024, 2);
    measure(group, "1024 -> 1024, most inputs zero", &op, &[&[1024, 1024], &[1024]], 0, both)
}

/// Of a ViT-Tiny at 32 pixels, on the views of 128 images.
fn transformer(group: &mut Group) -> Result<()> {
    let (count, tokens, width, heads) = (2 * BATCH, 65, 192, 3);
    let rows = count * tokens;
    for (inputs, outputs) in [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)] {
        let op = |x: &[Tensor]| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Identity);
        let dims: [&[usize]; 3] = [&[rows, inputs], &[outputs, inputs], &[outputs]];
        measure(group, &format!("{inputs} -> {outputs}"), &op, &dims, 0, products(rows * inputs * outputs, 2))?;
    }
    let op = |x: &[Tensor]| ops::attention(&x[0], heads);
    let work = 2 * count * tokens * tokens * width;
    measure(group, "attention", &op, &[&[count, tokens, 3 * width]], 0, products(work, 2))?;
    let op = |x: &[Tensor]| ops::layer_norm(&x[0], &x[1], &x[2], 1e-6);
    measure(group, "layer_norm", &op, &[&[rows, width], &[width], &[width]], 0, passes(&[rows, width], 2, 3))?;
    measure(group, "gelu", &|x| ops::gelu(&x[0]), &[&[rows, 4 * width]], 0, passes(&[rows, 4 * width], 2, 3))
}

fn conv2d(group: &mut Group) -> Result<()> {
    // Side of the image, channels, features, side of the window, stride, padding.
    let plan = [
        (28, 1, 32, 5, 1, 0), // DCGAN's discriminator
        (12, 32, 64, 5, 1, 0),
        (32, 3, 32, 3, 1, 1), // the stems
        (32, 3, 64, 3, 1, 1),
        (96, 3, 64, 7, 2, 3),
        (32, 32, 32, 3, 1, 1), // ResNet-9
        (16, 64, 64, 3, 1, 1),
        (8, 128, 128, 3, 1, 1),
        (4, 256, 256, 3, 1, 1),
        (32, 64, 64, 3, 1, 1), // ResNet-18 and ResNet-50
        (16, 128, 128, 3, 1, 1),
        (8, 256, 256, 3, 1, 1),
        (4, 512, 512, 3, 1, 1),
        (32, 64, 128, 3, 2, 1), // between stages
        (16, 128, 256, 3, 2, 1),
        (8, 256, 512, 3, 2, 1),
        (32, 64, 128, 1, 2, 0),
        (8, 256, 512, 1, 2, 0),
        (32, 64, 256, 1, 1, 0), // around the bottlenecks of ResNet-50
        (32, 256, 64, 1, 1, 0),
        (16, 512, 128, 1, 1, 0),
        (4, 512, 2048, 1, 1, 0),
    ];
    for (side, channels, features, size, stride, padding) in plan {
        let biased = size == 5;
        let activation = if biased { LEAKY } else { Activation::Identity };
        let op = |x: &[Tensor]| ops::conv2d(&x[0], &x[1], x.get(2), stride, padding, activation);
        let dims: [&[usize]; 3] = [&[BATCH, side, side, channels], &[features, channels, size, size], &[features]];
        let dims = if biased { &dims[..] } else { &dims[..2] };
        let outputs = (side + 2 * padding - size) / stride + 1;
        let work = BATCH * outputs * outputs * channels * features * size * size;
        let name = format!("{channels} -> {features}, {size}x{size} on {side}x{side}, stride {stride}");
        if channels > 3 {
            measure(group, &name, &op, dims, 0, products(work, 2))?;
        } else {
            measure(group, &format!("{name}, of data"), &op, dims, 1, products(work, 1))?;
        }
        // The generator learns from the gradient of the images that it made.
        if channels == 1 {
            measure(group, &format!("{name}, of fakes"), &op, dims, 0, products(work, 2))?;
        }
    }
    Ok(())
}

fn conv_transpose2d(group: &mut Group) -> Result<()> {
    for (side, channels, features, activation) in [(7, 128, 64, Activation::Relu), (14, 64, 1, Activation::Tanh)] {
        let op = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), 2, 1, activation);
        let dims: [&[usize]; 3] = [&[BATCH, side, side, channels], &[channels, features, 4, 4], &[features]];
        let both = products(BATCH * side * side * channels * features * 16, 2);
        measure(group, &format!("{channels} -> {features}, 4x4 on {side}x{side}"), &op, &dims, 0, both)?;
    }
    Ok(())
}

fn batch_norm(group: &mut Group) -> Result<()> {
    let flat = [[BATCH, 1, 1, 1024], [BATCH, 1, 1, 6272]];
    let images = [[BATCH, 14, 14, 64], [BATCH, 32, 32, 64], [BATCH, 16, 16, 128], [BATCH, 32, 32, 256]];
    for dims in flat.into_iter().chain(images) {
        let channels = dims[3];
        let all: [&[usize]; 3] = [&dims, &[channels], &[channels]];
        let train = |x: &[Tensor]| Ok(ops::batch_norm_train(&x[0], &x[1], &x[2], 1e-5, Activation::Relu)?.output);
        measure(group, &format!("train {dims:?}"), &train, &all, 0, passes(&dims, 3, 5))?;
        let variance = Tensor::ones(channels, candle_core::DType::F32, &Device::Cpu)?;
        let eval =
            |x: &[Tensor]| ops::batch_norm_eval(&x[0], &x[1], &variance, &x[1], &x[2], 1e-5, Activation::Identity);
        measure(group, &format!("eval {dims:?}"), &eval, &all, 3, passes(&dims, 2, 0))?;
    }
    Ok(())
}

fn elementwise(group: &mut Group) -> Result<()> {
    for dims in [[BATCH, 32, 32, 64], [BATCH, 32, 32, 256]] {
        let op = |x: &[Tensor]| ops::add_relu(&x[0], &x[1]);
        measure(group, &format!("add_relu {dims:?}"), &op, &[&dims, &dims], 0, passes(&dims, 3, 3))?;
    }
    let dims = [BATCH, 784];
    let op = |x: &[Tensor]| ops::activate(&x[0], Activation::Tanh);
    measure(group, &format!("tanh {dims:?}"), &op, &[&dims], 0, passes(&dims, 2, 3))?;
    measure(
        group,
        &format!("rescale_to_norm {dims:?}"),
        &|x| ops::rescale_to_norm(&x[0], 0.1),
        &[&dims],
        1,
        passes(&dims, 2, 2),
    )?;
    let dims = [BATCH, 28, 28, 1];
    let draws: Vec<i64> = (0..BATCH as i64 * 4).map(|place| place % 9 - 4).collect();
    let draws = Tensor::from_vec(draws, (BATCH, 4), &Device::Cpu)?;
    let op = |x: &[Tensor]| ops::diffaugment(&x[0], &draws, 14, -1.0);
    measure(group, &format!("diffaugment {dims:?}"), &op, &[&dims], 0, passes(&dims, 2, 2))?;
    let transform: [f32; 6] = [0.9, -0.3, 3.5, 0.3, 0.9, -2.5];
    let transforms = Tensor::from_vec(transform.repeat(BATCH), (BATCH, 2, 3), &Device::Cpu)?;
    let op = |x: &[Tensor]| ops::affine_sample(&x[0], &transforms);
    measure(group, &format!("affine_sample {dims:?}"), &op, &[&dims], 0, passes(&dims, 2, 2))?;
    let matrices = Tensor::from_vec([0.9f32, 0.1, 0.2].repeat(BATCH), (BATCH, 1, 3), &Device::Cpu)?;
    let op = |x: &[Tensor]| ops::recolour(&x[0], &matrices);
    measure(group, &format!("recolour {dims:?}"), &op, &[&dims], 0, passes(&dims, 2, 2))
}

fn pooling(group: &mut Group) -> Result<()> {
    // Side by side, as a DCGAN's; overlapping, as a ResNet's.
    let windows = [([BATCH, 24, 24, 32], 2, 0), ([BATCH, 8, 8, 64], 2, 0), ([BATCH, 48, 48, 64], 3, 1)];
    for (dims, size, padding) in windows {
        let op = |x: &[Tensor]| ops::max_pool2d(&x[0], size, 2, padding, Activation::Identity);
        let name = format!("max_pool2d {dims:?}, {size}x{size}");
        measure(group, &name, &op, &[&dims], 0, passes(&dims, 1, 1))?;
    }
    let dims = [BATCH, 4, 4, 2048];
    measure(group, &format!("mean_pool2d {dims:?}"), &|x| ops::mean_pool2d(&x[0]), &[&dims], 0, passes(&dims, 1, 1))
}

fn layout(group: &mut Group) -> Result<()> {
    let (images, classes) = ([BATCH, 784], [BATCH, 10]);
    let op = |x: &[Tensor]| ops::append_columns(&x[0], &x[1]);
    measure(group, &format!("append_columns {images:?}"), &op, &[&images, &classes], 0, passes(&images, 2, 2))?;
    let dims = [BATCH, 128, 7, 7];
    measure(
        group,
        &format!("channels_last {dims:?}"),
        &|x| ops::channels_last(&x[0]),
        &[&dims],
        0,
        passes(&dims, 2, 2),
    )?;
    let dims = [BATCH, 4, 4, 64];
    measure(
        group,
        &format!("channels_first {dims:?}"),
        &|x| ops::channels_first(&x[0]),
        &[&dims],
        0,
        passes(&dims, 2, 2),
    )
}

fn losses(group: &mut Group) -> Result<()> {
    let pairs = [BATCH / 2, 128];
    let similarities = BATCH * BATCH * pairs[1];
    let op = |x: &[Tensor]| nt_xent(&x[0], &x[1], 0.5);
    measure(group, &format!("nt_xent {pairs:?}"), &op, &[&pairs, &pairs], 0, products(similarities, 2))?;
    let scores = [BATCH, 1];
    for loss in [AdversarialLoss::Bce, AdversarialLoss::Ls] {
        let discriminator = |x: &[Tensor]| loss.discriminator(&x[0], &x[1], 0.0);
        measure(group, &format!("{loss:?} of D"), &discriminator, &[&scores, &scores], 0, passes(&scores, 2, 2))?;
        let generator = |x: &[Tensor]| loss.generator(&x[0], None);
        measure(group, &format!("{loss:?} of G"), &generator, &[&scores], 0, passes(&scores, 1, 1))?;
    }
    Ok(())
}

/// Steps on one array as long as all of the DCGAN generator's.
fn optimizers(group: &mut Group) -> Result<()> {
    const LEN: usize = 6_675_009;
    let adam =
        AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 1e-6, decoupled: false, step: 100 };
    let sgd = |rule| SgdStep { lr: 1e-3, momentum: 0.9, weight_decay: 1e-6, rule };
    let lars = SgdRule::Lars { trust: Some(1e-3) };
    type Step<'a> = &'a dyn Fn(&Var, &Tensor, &[Var; 2]) -> Result<()>;
    // The step, and how often it reads or writes an array.
    let plan: [(&str, Step, usize); 4] = [
        ("adam_step", &|x, gradient, [first, second]| ops::adam_step(x, gradient, first, second, &adam), 7),
        ("sgd_step", &|x, gradient, [velocity, _]| ops::sgd_step(x, gradient, velocity, &sgd(SgdRule::Sgd)), 5),
        ("lars_step", &|x, gradient, [velocity, _]| ops::sgd_step(x, gradient, velocity, &sgd(lars)), 7),
        ("lerp_in_place", &|x, gradient, _| ops::lerp_in_place(x, gradient, 1e-3), 3),
    ];
    for (name, step, passes) in plan {
        group.throughput(Throughput::Bytes((4 * passes * LEN) as u64));
        fallible(group, name, |bencher| {
            let array = |part| Var::from_tensor(&random(&[LEN], part)?);
            let (parameter, gradient) = (array("parameter")?, random(&[LEN], "gradient")?);
            let state = [
                Var::from_tensor(&(random(&[LEN], "first")? * 0.1)?)?,
                Var::from_tensor(&random(&[LEN], "second")?.sqr()?)?,
            ];
            step(&parameter, &gradient, &state)?;
            bencher.iter(|| step(&parameter, &gradient, &state));
            Ok(())
        })?;
    }
    Ok(())
}

/// Views of the four augmentations, drawn and made on one thread: "elem/s" are views a second a core.
/// Where `GAN_TEST_DEVICE` names a device, the same made there.
fn augmentation(group: &mut Group) -> Result<()> {
    const VIEWS: usize = 512;
    const SIZE: usize = 32;
    group.throughput(Throughput::Elements(VIEWS as u64));
    let scale = ColourScale::new(&Normalisation::cifar10()).map_err(candle_core::Error::msg)?;
    group.bench_function("views", |bencher| {
        let images = shapes::first(Part::Train, VIEWS);
        let (augmentation, mut view) = (Augmentation::default(), vec![0.0; SIZE * SIZE * 3]);
        let mut epoch = 0;
        bencher.iter(|| {
            epoch += 1;
            for (index, image) in images.pixels.chunks_exact(images.stride()).enumerate() {
                let parameters = augmentation.view(0, epoch, index as u32, 0, images.shape());
                parameters.apply((image, images.shape()), SIZE, scale, &mut view);
            }
            view[0]
        });
    });
    let Ok(name) = std::env::var("GAN_TEST_DEVICE") else { return Ok(()) };
    let device = name.parse::<DeviceChoice>().ok().and_then(|choice| choice.open().ok());
    let Some(device) = device else { candle_core::bail!("GAN_TEST_DEVICE={name} cannot be opened") };
    let images = shapes::first(Part::Train, VIEWS);
    let kept = Tensor::from_slice(&images.pixels, (VIEWS, images.height, images.width, images.channels), &device)?;
    let augmentation = Augmentation::default();
    let mut step = 0;
    // Two of each image, drawn by one thread, as a step of SimCLR takes them.
    let mut views = || -> Result<Tensor> {
        step += 1;
        let of = |branch, image| (image, augmentation.view(0, step, image, branch, images.shape()));
        let drawn: Vec<_> = (0..2).flat_map(|branch| (0..VIEWS as u32).map(move |image| of(branch, image))).collect();
        let views = augment::views(&kept, &drawn, SIZE, scale)?;
        device.synchronize()?;
        Ok(views)
    };
    group.throughput(Throughput::Elements(2 * VIEWS as u64));
    fallible(group, "device", |bencher| {
        views()?;
        bencher.iter(&mut views);
        Ok(())
    })
}
