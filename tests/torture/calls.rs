//! Every open, write, fsync and rename of a run's files, made to fail in turn: no space, an I/O error, half a write, an
//! interruption. What was there stays whole, the exit code is 5, and the run goes on once the fault has gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Ended, end_of};
use crate::runs::{Kind, Place, content};
use crate::{Lacking, Tried};

const VICTIM: &str = "victim";

/// A run is hit at most `most` times by each fault, evenly spread over its calls.
pub fn run(most: u64) -> Tried {
    let place = Place::new().with_encoder();
    let Some(library) = library(&place) else { return Err(Lacking("cc, to build the faults with, and Linux".into())) };
    let mut hits = BTreeMap::new();
    for (kind, more) in [(Kind::Linear, &["--keep", "99"][..]), (Kind::Vanilla, &VANILLA)] {
        let counts_file = place.work.path("counts");
        let mut counted = preloaded(place.begin(kind, VICTIM, more), &library);
        end_of(counted.env("FAULT_COUNTS", &counts_file)).expect(0, "the calls are counted");
        let text = fs::read_to_string(&counts_file).unwrap();
        let counts = text.lines().map(|line| line.split_once(' ').unwrap());
        let counts: Vec<(String, u64)> = counts.map(|(call, n)| (call.into(), n.parse().unwrap())).collect();
        assert!(counts.iter().all(|(_, count)| *count > 0), "{text}");
        let whole = Whole::of(&place);
        for (call, count) in &counts {
            for fault in Fault::of(call) {
                let stride = count.div_ceil(most.min(*count));
                for at in (1..=*count).step_by(stride as usize) {
                    place.remove(VICTIM);
                    let ended = hit(place.begin(kind, VICTIM, more), &library, call, at, fault);
                    let what = format!("{kind:?}: {fault:?} at {call} {at} of {count}");
                    whole.check(&place, kind, more, &ended, fault, &what);
                    *hits.entry(call.clone()).or_insert(0u64) += 1;
                }
            }
        }
        place.remove(VICTIM);
    }
    let hits: Vec<String> = hits.into_iter().map(|(call, count)| format!("{call} {count}")).collect();
    Ok(format!("calls made to fail: {}; checkpoints stayed whole, exit code 5, and all went on", hits.join(", ")))
}

const VANILLA: [&str; 5] = ["--no-ema", "--steps", "3", "--keep", "99"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NoSpace,
    InputOutput,
    HalfAWrite,
    Interrupted,
}

impl Fault {
    fn of(call: &str) -> Vec<Self> {
        let mut faults = vec![Self::NoSpace, Self::InputOutput, Self::Interrupted];
        faults.extend((call == "write").then_some(Self::HalfAWrite));
        faults
    }

    fn error(self) -> i32 {
        match self {
            Self::NoSpace => libc::ENOSPC,
            Self::InputOutput => libc::EIO,
            Self::Interrupted => libc::EINTR,
            Self::HalfAWrite => 0,
        }
    }
}

/// The uninterrupted run: what it left, and the content of each of its checkpoints.
struct Whole {
    left: BTreeMap<String, u64>,
}

impl Whole {
    fn of(place: &Place) -> Self {
        Self { left: place.left(VICTIM) }
    }

    fn check(&self, place: &Place, kind: Kind, more: &[&str], ended: &Ended, fault: Fault, what: &str) {
        if matches!(fault, Fault::HalfAWrite | Fault::Interrupted) {
            ended.expect(0, what);
        } else {
            ended.expect(5, what);
            let error = &ended.stderr[ended.stderr.find("error: ").expect("an error")..];
            assert!(error.trim_end().lines().count() <= 3, "{what}: {error}");
            assert!(place.temporaries(VICTIM).is_empty(), "{what}: {:?}", place.temporaries(VICTIM));
            for path in place.checkpoints(VICTIM) {
                let name = path.file_name().unwrap().to_str().unwrap();
                assert_eq!(Some(&content(&path)), self.left.get(name), "{what}: {name}");
            }
            end_of(&mut place.go_on(kind, VICTIM, more, &[])).expect(0, what);
        }
        place.assert_same(VICTIM, &self.left);
    }
}

pub fn preloaded(mut command: Command, library: &Path) -> Command {
    command.env("LD_PRELOAD", library).env("FAULT_PLACE", VICTIM);
    command
}

fn hit(command: Command, library: &Path, call: &str, at: u64, fault: Fault) -> Ended {
    let mut command = preloaded(command, library);
    command.env("FAULT_CALL", call).env("FAULT_AT", at.to_string()).env("FAULT_ERROR", fault.error().to_string());
    if fault == Fault::NoSpace {
        command.env("FAULT_ONWARDS", "1");
    }
    end_of(&mut command)
}

/// `faults.c`, built.
pub fn library(place: &Place) -> Option<PathBuf> {
    let library = place.work.path("faults.so");
    let source = Path::new(&crate::support::repository()).join("tests/torture/faults.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    if !cfg!(target_os = "linux") {
        return None;
    }
    assert!(compiler.status().ok()?.success(), "tests/torture/faults.c does not compile");
    Some(library)
}
