//! Steps and inference of several threads of one process: all come to their end, and compute what they compute alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use candle_core::{Device, ModuleT, Tensor};
use gan::autograd::{self, Precision};
use gan::models::{Architecture, Generator};
use gan::train::adversaries::Adversaries;

use crate::accelerator::{adversaries_with, random};
use crate::support::bytes_of;

/// Far more than the work takes on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(300);

/// Fails where `work` is not done in time: its threads wait for each other.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    match is_done.recv_timeout(LIMIT) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("not done after {LIMIT:?}: threads wait for each other"),
        Err(RecvTimeoutError::Disconnected) => panic!("the work failed"),
    }
}

fn step(adversaries: &mut Adversaries, batch: usize) {
    let latents = |of| random(of, &[batch, 96], &Device::Cpu);
    let real = random("real", &[batch, 28, 28, 1], &Device::Cpu);
    adversaries.step(&real, &latents("discriminator"), &latents("generator")).unwrap();
}

/// Two threads draw from the generator that a third one trains: one in `inference`, one op by op.
fn draw_beside_training(model: Architecture, steps: usize, batch: usize) {
    let mut adversaries = adversaries_with(model, &[], &Device::Cpu);
    let generator =
        Generator::new(model, 96, model.image_shape(), adversaries.generator_parameters().frozen()).unwrap();
    let latents = random("drawn", &[batch, 96], &Device::Cpu);
    let draw = || generator.forward_t(&latents, false).unwrap();
    let is_trained = AtomicBool::new(false);
    let until_trained = |draw: &dyn Fn() -> Tensor| {
        let mut rounds = 0;
        while !is_trained.load(Ordering::Relaxed) {
            assert_eq!(draw().dims(), [batch, 28, 28, 1]);
            rounds += 1;
        }
        rounds
    };
    std::thread::scope(|scope| {
        let drawing = [
            scope.spawn(|| until_trained(&|| autograd::inference(draw))),
            scope.spawn(|| until_trained(&draw)),
            scope.spawn(|| until_trained(&|| autograd::training_step(Precision::F32, draw))),
        ];
        (0..steps).for_each(|_| step(&mut adversaries, batch));
        is_trained.store(true, Ordering::Relaxed);
        for rounds in drawing.map(|drawing| drawing.join().unwrap()) {
            // Op by op there is a turn for each.
            assert!(rounds > steps / 20, "{rounds} rounds beside {steps} steps: training lets nobody else in");
        }
    });
}

#[test]
fn a_generator_is_drawn_from_while_it_is_trained() {
    in_time(|| draw_beside_training(Architecture::Vanilla, 60, 16));
    in_time(|| draw_beside_training(Architecture::Dcgan, 8, 4));
}

#[test]
fn two_trainings_in_one_process_are_those_of_two_processes() {
    let train = |seed: &str| {
        let mut adversaries = adversaries_with(Architecture::Vanilla, &["--seed", seed], &Device::Cpu);
        (0..10).for_each(|_| step(&mut adversaries, 16));
        bytes_of(&adversaries.state())
    };
    in_time(move || {
        let alone = ["0", "1"].map(train);
        let together = std::thread::scope(|scope| {
            ["0", "1"].map(|seed| scope.spawn(move || train(seed))).map(|training| training.join().unwrap())
        });
        assert!(alone[0] != alone[1]);
        assert!(together == alone);
    });
}
