//! A disk that is too small, or fills up in the middle: a file system of its own in memory, in a mount namespace.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{Running, end_of};
use crate::runs::{Kind, Place, content};
use crate::{Lacking, Tried};

/// The argument of this program when it runs inside its own namespace.
pub const INSIDE: &str = "--inside-a-small-disk";

/// What the disk holds, in MiB: four checkpoints of 25 and the networks, but not six.
const SIZE: &str = "125m";

pub fn run(times: u64) -> Tried {
    let mut figures = String::new();
    for _ in 0..times {
        let directory = tempfile::tempdir().unwrap();
        let me = std::env::current_exe().unwrap();
        let mut inside = Command::new("unshare");
        inside.arg("-rm").arg(me).arg(INSIDE).arg(directory.path());
        let Ok(output) = inside.output() else { return Err(Lacking("unshare".into())) };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("unshare failed") || stderr.contains("Operation not permitted") {
            return Err(Lacking(format!("a mount of its own: {}", stderr.trim())));
        }
        assert!(output.status.success(), "{stderr}");
        figures = String::from_utf8(output.stdout).unwrap();
    }
    Ok(format!("{times} times: {}", figures.trim()))
}

pub fn inside(directory: &Path) {
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"]).arg(directory).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("mount: Operation not permitted");
        std::process::exit(1);
    }
    let place = Place::new(); // elsewhere: data and the reference
    let [weights, samples] = ["w", "s"].map(|name| directory.join(name).display().to_string());
    let small = ["--weights-dir", &weights, "--samples-dir", &samples];
    let run = |more: &[&str]| place.begin(Kind::Vanilla, "run", &[&["--no-ema"], &small[..], more].concat());

    // Refused at the start, with the numbers, and nothing is left.
    let refused = end_of(&mut run(&["--keep", "5"]));
    refused.expect(5, "a run that cannot fit");
    let text = refused.stderr.trim().to_string();
    assert!(text.contains("6 checkpoints of 24") && text.contains("free") && text.contains("--keep"), "{text}");
    assert!(!Path::new(&weights).exists(), "a run that cannot begin left a trace");

    // Full in the middle: another's file grows while it trains.
    end_of(&mut place.begin(Kind::Vanilla, "whole", &["--no-ema", "--keep", "99", "--steps", "40"])).expect(0, "whole");
    let mut child = Running::start(run(&["--keep", "2", "--steps", "40", "--json"]).stdout(Stdio::piped()));
    let mut lines = BufReader::new(child.child.stdout.take().unwrap()).lines();
    (0..5).for_each(|_| drop(lines.next()));
    let mut filler = fs::File::create(directory.join("filler")).unwrap();
    while filler.write_all(&[0; 1 << 16]).is_ok() {}
    lines.for_each(drop);
    let ended = child.wait();
    ended.expect(5, "a disk that fills up");
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
    let run_directory = Path::new(&weights).join("run");
    let mut kept = 0;
    for name in crate::runs::listing(&run_directory).iter().filter(|name| name.starts_with("step-")) {
        assert_eq!(content(&run_directory.join(name)), content(&place.weights("whole").join(name)), "{name}");
        kept += 1;
    }
    assert!(kept > 0);
    // While it is full nothing begins; and then it goes on.
    let resume = || place.resume(Kind::Vanilla, "run", &small);
    end_of(&mut resume()).expect(5, "a disk that is full");
    drop(filler);
    fs::remove_file(directory.join("filler")).unwrap();
    end_of(&mut resume()).expect(0, "a disk with room again");
    let last = "step-00000040.safetensors";
    assert_eq!(content(&run_directory.join(last)), content(&place.weights("whole").join(last)));
    println!(
        "refused at the start ({}); full in the middle, {kept} checkpoints whole, resumed",
        text.replace('\n', "; ")
    );
}
