//! Memory and disk of a DCGAN that trains for `seconds` and saves every few steps: flat after the first minute.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::Running;
use crate::runs::Place;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(10);
/// What memory may grow by after the first minute.
const GROWTH: f64 = 0.01;

pub fn run(seconds: u64) -> String {
    let place = Place::new();
    let flags = ["train-gan", "--model", "dcgan", "--data", "data", "--batch-size", "32", "--steps", "1000000000"];
    let often = ["--checkpoint-every", "20", "--sample-every", "100", "--threads", "1", "--keep", "2", "--run", "run"];
    let mut command: Command = place.gan(&[&flags[..], &often].concat());
    let mut child = Running::start_silent(&mut command);
    let (began, warm) = (Instant::now(), Duration::from_secs(60.min(seconds / 2)));
    let (mut looks, mut disk) = (Vec::new(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        sleep(INTERVAL.min(Duration::from_secs(seconds / 10 + 1)));
        assert!(!child.is_over(), "the run has ended: {}", child.wait().stderr);
        if began.elapsed() > warm {
            looks.push(resident(child.child.id()));
        }
        // A file that is renamed or pruned while it is looked at counts nothing.
        let files = fs::read_dir(place.weights("run")).unwrap().flatten();
        disk = disk.max(files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum());
        eprintln!(
            "{:5.0} s: {} KiB resident, at most {} KiB on disk",
            began.elapsed().as_secs_f64(),
            looks.last().copied().unwrap_or(0),
            disk >> 10
        );
    }
    child.signal(libc::SIGTERM);
    let ended = child.wait();
    ended.expect(143, "the long run");
    place.assert_whole("run");
    let newest = place.checkpoints("run").pop().unwrap();
    let checkpoint = fs::metadata(&newest).unwrap().len();
    let networks: u64 = ["discriminator", "generator", "generator_ema"]
        .map(|name| fs::metadata(place.weights("run").join(format!("{name}.safetensors"))).unwrap().len())
        .iter()
        .sum();
    // --keep 2 and the one being written, the networks and one of them being written, and the log.
    let bound = 3 * checkpoint + 2 * networks + (64 << 20);
    assert!(disk <= bound, "{disk} bytes on disk, at most {bound} expected");
    let (first, last) = (looks[0] as f64, looks[looks.len() - 1] as f64);
    let peak = *looks.iter().max().unwrap() as f64;
    assert!(last <= first * (1.0 + GROWTH), "memory has grown from {first} to {last} KiB");
    format!(
        "{seconds} s to {}: {:.1} MiB resident after the first minute, {:.1} at the end ({:+.2} %), {:.1} at most; {} MiB \
         on disk at most",
        newest.file_stem().unwrap().to_string_lossy(),
        first / 1024.0,
        last / 1024.0,
        100.0 * (last / first - 1.0),
        peak / 1024.0,
        disk >> 20
    )
}

/// Resident memory in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
