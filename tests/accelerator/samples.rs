//! Sampling: the CPU's images, and each sample the same whatever it is drawn with.

use candle_core::Device;
use gan::latent_space::LatentSpace;
use gan::models::{Architecture, Generator};
use gan::params::Parameters;
use gan::pretrained::{draw, latents};

use crate::device::{accelerator, named};
use crate::support::Workplace;

/// Of values in [-1, 1], before rounding to one of 256 shades, which are 0.008 apart.
const TOLERANCE: f32 = 1e-4;

fn assert_near(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = |(found, expected): (&f32, &f32)| (found - expected).abs();
    let worst = found.iter().zip(expected).map(off).fold(0f32, |worst, off| if off <= worst { worst } else { off });
    assert!(worst <= TOLERANCE, "{what}: off by {worst:e}");
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn images_are_the_cpus() {
    let device = accelerator();
    let latents = latents(0, 0, 300, LatentSpace::uniform(96));
    for model in Architecture::ALL {
        let images = |device: &Device| {
            let parameters = Parameters::new(0, "generator", device);
            let generator = Generator::new(model, 96, model.image_shape(), parameters.builder()).unwrap();
            draw(&generator, &latents, 96, device).unwrap()
        };
        assert_near(model.name(), &images(&device), &images(&Device::Cpu));
    }
}

#[test]
#[ignore = "needs an accelerator: tests/gpu.sh"]
fn the_program_draws_the_cpus_images_and_the_same_ones_in_parts() {
    let device = accelerator();
    let device = named().unwrap_or_else(|| gan::device::name(&device));
    let work = Workplace::new();
    let train = ["train-gan", "--model", "dcgan", "--data", "data", "--batch-size", "16", "--steps", "3"];
    work.gan(&[&train[..], &["--device", "cpu"]].concat()).assert().success();
    let images = |name: &str, flags: &[&str]| {
        work.gan(&[&["sample", "-q", "-o", name], flags].concat()).assert().success();
        npyz::NpyFile::new(&work.read(name)[..]).unwrap().into_vec::<f32>().unwrap()
    };
    let all = images("all.npy", &["--n", "300", "--device", &device]);
    assert_near("300 images", &all, &images("cpu.npy", &["--n", "300", "--device", "cpu"]));
    let few = images("few.npy", &["--n", "5", "--device", &device]);
    assert!(few == all[..5 * 784], "the first five");
    let rest = images("rest.npy", &["--n", "43", "--offset", "257", "--device", &device]);
    assert!(rest == all[257 * 784..], "from 257 on");
}
