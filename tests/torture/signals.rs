//! Signals: how long from Ctrl-C to the end, the codes, a second one, and those that do not end a run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::process::{Dice, Running, end_of};
use crate::runs::{Kind, Place};
use crate::support::{write_idx, write_pictures};

/// A GAN leaves within so long, an encoder within a step and so long.
const PROMISED: Duration = Duration::from_secs(2);
/// That is a matter of speed, to be measured on a machine with nothing else to do: where there are few trials, as in
/// `cargo test`, or with `--busy`, only what hangs fails.
const FEW: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(trials: u64) -> String {
    let place = Place::new().with_encoder();
    fs::create_dir(place.work.path("many")).unwrap();
    write_idx(&place.work.path("many"), 256);
    let is_busy = trials < FEW || std::env::args().any(|flag| flag == "--busy");
    let promised = if is_busy { PATIENCE } else { PROMISED };
    let mut figures = Vec::new();
    for model in ["vanilla", "dcgan"] {
        // The course's own batch.
        let flags = ["train-gan", "--model", model, "--data", "many", "--steps", "1000000", "--checkpoint-every", "20"];
        let latencies = latencies(&place, &flags, trials / 2, Duration::from_millis(600));
        assert!(percentile(&latencies, 0.99) < promised, "{model}: {latencies:?}");
        figures.push(summary(model, &latencies));
    }
    write_pictures(&place.work.path("more"), 86, 4);
    let flags = ["pretrain-simclr", "--data", "more", "--encoder", "resnet9", "--knn-every"];
    let encoder = [&flags[..], &["1", "--steps", "1000000", "--checkpoint-every", "5"]].concat();
    let (latencies, step) = with_step(&place, &encoder, trials / 10 + 1);
    assert!(percentile(&latencies, 0.99) < promised + step, "resnet9: {latencies:?} beside a step of {step:?}");
    figures.push(format!("{}, a step {:.2} s", summary("resnet9", &latencies), step.as_secs_f64()));

    for trial in 0..trials / 20 + 1 {
        second_signal(&place, trial, promised / 4);
    }
    hang_up(&place);
    paused(&place);
    format!("{}; a second signal, SIGHUP, nohup, SIGTSTP and SIGCONT as they should", figures.join("; "))
}

/// Starts, waits for the first record, and then at a random moment stops; the times from the signal to the end.
fn latencies(place: &Place, flags: &[&str], trials: u64, longest: Duration) -> Vec<Duration> {
    let mut dice = Dice(6);
    let mut latencies = Vec::new();
    for trial in 0..trials {
        let (child, drain) =
            started(place.gan(&[flags, &["--run", "run", "--force", "--json", "--log-every", "1"]].concat()));
        sleep(dice.pause(longest));
        let (signal, code) = [(libc::SIGINT, 130), (libc::SIGTERM, 143)][(trial % 2) as usize];
        child.signal(signal);
        let began = Instant::now();
        child.wait().expect(code, "a signal");
        latencies.push(began.elapsed());
        drain.join().unwrap();
        let newest = place.checkpoints("run").pop().expect("a checkpoint");
        gan::checkpoint::read(&newest).unwrap();
    }
    latencies.sort();
    latencies
}

/// The same of an encoder, with the time of its slowest step by its own records.
fn with_step(place: &Place, flags: &[&str], trials: u64) -> (Vec<Duration>, Duration) {
    let latencies = latencies(place, flags, trials, Duration::from_secs(3));
    let batch = 64.0;
    let rates = place.work.metrics("run").into_iter().map(|record| record["images_per_second"].as_f64().unwrap());
    let slowest = rates.fold(f64::INFINITY, f64::min);
    (latencies, Duration::from_secs_f64(batch / slowest))
}

/// A child that has written its first record; the rest is read by a thread.
fn started(mut command: Command) -> (Running, JoinHandle<()>) {
    let mut child = Running::start(command.stdout(Stdio::piped()));
    let mut lines = BufReader::new(child.child.stdout.take().unwrap()).lines();
    lines.next();
    (child, spawn(move || lines.for_each(drop)))
}

fn percentile(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len()) - 1]
}

fn summary(what: &str, latencies: &[Duration]) -> String {
    let at = |part| percentile(latencies, part).as_secs_f64();
    format!(
        "{what} {} signals: median {:.2} s, 99 % {:.2} s, slowest {:.2} s",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

/// The second leaves at once, whatever is being written, and nothing is lost by it.
fn second_signal(place: &Place, trial: u64, promised: Duration) {
    let run = format!("second{trial}");
    let (child, drain) = started(place.begin(Kind::Dcgan, &run, &["--json", "--steps", "1000000"]));
    child.signal(libc::SIGINT);
    sleep(Duration::from_millis(1 + 3 * trial % 40));
    child.signal(libc::SIGINT);
    let began = Instant::now();
    child.wait().expect(130, "a second signal");
    assert!(began.elapsed() < promised, "the second took {:?}", began.elapsed());
    drain.join().unwrap();
    place.assert_whole(&run);
    place.remove(&run);
}

/// A terminal that goes away stops a run as Ctrl-C does, but one that was told to ignore it by nohup.
fn hang_up(place: &Place) {
    let (child, drain) = started(place.begin(Kind::Vanilla, "gone", &["--json", "--steps", "1000000"]));
    child.signal(libc::SIGHUP);
    child.wait().expect(129, "SIGHUP");
    drain.join().unwrap();
    assert!(!place.checkpoints("gone").is_empty());

    let program = place.begin(Kind::Vanilla, "nohup", &["--json", "--steps", "60"]);
    let mut shell = Command::new("sh");
    shell.current_dir(program.get_current_dir().unwrap()).arg("-c").arg("trap '' HUP; exec \"$@\"").arg("sh");
    shell.arg(program.get_program()).args(program.get_args());
    let (child, drain) = started(shell);
    child.signal(libc::SIGHUP);
    child.wait().expect(0, "SIGHUP under nohup");
    drain.join().unwrap();
}

/// Paused and continued: the same bytes as without.
fn paused(place: &Place) {
    end_of(&mut place.begin(Kind::Vanilla, "whole", &[])).expect(0, "whole");
    let mut command = place.begin(Kind::Vanilla, "paused", &["--json"]);
    // In a group of its own: the kernel keeps SIGTSTP from a group that no parent outside it could wake.
    command.process_group(0);
    let (mut child, drain) = started(command);
    if !child.is_over() {
        child.signal(libc::SIGTSTP);
        sleep(Duration::from_millis(300));
        let state = fs::read_to_string(format!("/proc/{}/stat", child.child.id())).unwrap();
        let state = state.rsplit(')').next().unwrap().trim().chars().next();
        assert!(matches!(state, Some('T' | 'Z')), "SIGTSTP: {state:?}");
        child.signal(libc::SIGCONT);
    }
    child.wait().expect(0, "SIGCONT");
    drain.join().unwrap();
    place.assert_same("paused", &place.left("whole"));
}
