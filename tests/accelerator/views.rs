//! Views: the kernel's are the CPU's, to the bit.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use gan::data::augment::{self, Augmentation, ColourScale, Crop, ViewParameters};
use gan::data::{self, ImageShape, Images, StepPlan, ViewPlan};
use gan::normalisation::Normalisation;
use gan::rng::Stream;

use crate::device::accelerator;
use crate::support::repository;

/// Heights and widths of views: the encoders', one that is no multiple of anything, and a larger one.
const SIZES: [usize; 3] = [32, 27, 45];

/// Random images, some of one colour or none, and views of them: all that can be drawn, and nothing but the size changed.
fn cases() -> Vec<(Images, Vec<(u32, ViewParameters)>)> {
    // Of the last, not all rows are in memory at a time.
    let sizes = [(32, 32), (40, 25), (7, 50), (1, 1), (96, 64), (200, 300)];
    let case = |(height, width)| {
        let shape = ImageShape { height, width, channels: 3 };
        let mut generator = Stream::new(3, "pixels").at((height * 100 + width) as u64);
        let mut images = Images::empty(shape);
        for image in 0..6 {
            images.pixels.extend((0..shape.stride()).map(|place| match image {
                4 => 77,
                5 => (place / 3 * 5) as u8,
                _ => generator.bits() as u8,
            }));
        }
        let strong = Augmentation { brightness: 2.0, contrast: 2.0, saturation: 2.0, hue: 0.5, ..Default::default() };
        let mut views = vec![(5, ViewParameters::plain(shape))];
        for index in 0..40 {
            let augmentation = if index % 4 == 0 { strong.clone() } else { Augmentation::default() };
            views.push((index % 6, augmentation.view(9, 2, index, (index % 2) as usize, shape)));
        }
        (images, views)
    };
    sizes.into_iter().map(case).collect()
}

fn scale() -> ColourScale {
    ColourScale::new(&Normalisation::imagenet()).unwrap()
}

fn on_a_cpu(images: &Images, views: &[(u32, ViewParameters)], size: usize) -> Vec<f32> {
    let values = size * size * 3;
    let mut made = vec![0.0; views.len() * values];
    for (view, (image, parameters)) in made.chunks_exact_mut(values).zip(views) {
        parameters.apply((images.image(*image as usize), images.shape()), size, scale(), view);
    }
    made
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_same_bits(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let differ = found.iter().zip(expected).filter(|(found, expected)| found.to_bits() != expected.to_bits());
    let off = differ.clone().map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    assert_eq!(differ.count(), 0, "{what}: values that differ, by up to {off:e}");
}

/// The kernel as C++.
fn emulated(directory: &Path) -> PathBuf {
    let repository = repository();
    let (source, program) = (format!("{repository}/tests/accelerator/emulated.cpp"), directory.join("emulated"));
    // Products are not to be fused with sums here either.
    let flags = ["-std=c++20", "-O1", "-ffp-contract=off", "-pthread", "-w", "-x", "c++", "-o"];
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
    compiler.args(flags).arg(&program).arg(format!("-I{repository}/src/data/augment")).arg(source);
    let output = compiler.output().expect("a C++ compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[test]
#[cfg_attr(not(has_cxx20), ignore = "needs a compiler of C++20: CXX names it")]
fn the_kernel_run_by_a_cpu_makes_the_cpus_views() {
    let directory = tempfile::tempdir().unwrap();
    let program = emulated(directory.path());
    // The kernel of large views makes any size.
    let kernels = [(32, false), (27, false), (32, true), (45, true)];
    for ((images, views), (size, large)) in cases().iter().flat_map(|case| kernels.map(|kernel| (case, kernel))) {
        let counts = [images.len(), views.len(), images.height, images.width, size, usize::from(large)];
        let mut input: Vec<u8> = counts.iter().flat_map(|count| (*count as i32).to_le_bytes()).collect();
        input.extend(&images.pixels);
        for (image, parameters) in views {
            input.extend(parameters.packed(*image).iter().flat_map(|word| word.to_le_bytes()));
        }
        let ColourScale { mean, factor } = scale();
        input.extend([mean, factor].concat().iter().flat_map(|value| value.to_le_bytes()));
        let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let made: Vec<f32> = output.stdout.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let what = format!("{} x {} as {size}, large: {large}", images.height, images.width);
        assert_same_bits(&what, &made, &on_a_cpu(images, views, size));
    }
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn views_made_on_the_device_are_the_cpus() {
    let device = accelerator();
    let makes_views = device.is_cpu() || gan::device::keeps_images(&device);
    assert!(makes_views, "views are made on the host for this device: there is nothing to test");
    for ((images, views), size) in cases().iter().flat_map(|case| SIZES.map(|size| (case, size))) {
        let dims = (images.len(), images.height, images.width, 3);
        let kept = Tensor::from_slice(&images.pixels, dims, &device).unwrap();
        let made = augment::views(&kept, views, size, scale()).unwrap();
        assert_eq!(made.dims(), [views.len(), size, size, 3]);
        let what = format!("{} x {} as {size}", images.height, images.width);
        assert_same_bits(&what, &values(&made), &on_a_cpu(images, views, size));
    }
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn a_view_beyond_its_image_is_refused() {
    let device = accelerator();
    let images = Tensor::zeros((2, 5, 6, 3), DType::U8, &device).unwrap();
    let plain = ViewParameters::plain(ImageShape { height: 5, width: 6, channels: 3 });
    let beyond = Crop { top: 1, ..plain.crop };
    for drawn in [(2, plain), (0, ViewParameters { crop: beyond, ..plain })] {
        assert!(augment::views(&images, &[drawn], 32, scale()).is_err(), "{drawn:?}");
    }
    assert!(augment::views(&images.narrow(3, 0, 1).unwrap(), &[], 32, scale()).is_err(), "grey");
}

/// Whatever a device makes itself, and whatever the host makes for it.
#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn a_seed_gives_the_same_batches_and_views() {
    let device = accelerator();
    let images = Arc::new(cases().remove(1).0);
    let plan = StepPlan::new(images.len(), 2, true, 4).unwrap();
    let (augmentation, normalisation) = (Augmentation::default(), Normalisation::imagenet());
    let views = ViewPlan { views_per_image: 2, size: 32, augmentation, normalisation };
    let [mut there, mut here] =
        [&device, &Device::Cpu].map(|device| data::views(images.clone(), &plan, views.clone(), 1, device).unwrap());
    let [mut batches_there, mut batches_here] =
        [&device, &Device::Cpu].map(|device| data::batches(images.clone(), &plan, 1, device).unwrap());
    for step in 1..8 {
        let (there, here) = (there.next().unwrap(), here.next().unwrap());
        assert_eq!(there.indices, here.indices, "step {step}");
        assert_same_bits(&format!("views of step {step}"), &values(&there.views), &values(&here.views));
        let (there, here) = (batches_there.next().unwrap(), batches_here.next().unwrap());
        assert_eq!((there.dims(), there.device().location()), (here.dims(), device.location()));
        assert_same_bits(&format!("batch of step {step}"), &values(&there), &values(&here));
    }
}
