//! The program's children.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Nothing here takes so long: what does hangs.
const HANGS: Duration = Duration::from_secs(300);

/// How a child came to its end.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The code was this; and whatever it was, nothing panicked.
    pub fn expect(&self, code: i32, what: &str) -> &Self {
        assert_eq!(self.code(), Some(code), "{what}: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{what}: {}", self.stderr);
        self
    }
}

/// A child whose messages go to a file, so that it never waits for a reader.
pub struct Running {
    pub child: Child,
    stderr: File,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let stderr = tempfile::tempfile().unwrap();
        let child = command.stdin(Stdio::null()).stderr(stderr.try_clone().unwrap()).spawn().unwrap();
        Self { child, stderr }
    }

    /// The same for a command whose output nobody reads.
    pub fn start_silent(command: &mut Command) -> Self {
        Self::start(command.stdout(Stdio::null()))
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the child is ours and has not been waited for, so its number is not anyone else's.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn wait(mut self) -> Ended {
        let began = Instant::now();
        while !self.is_over() {
            if began.elapsed() > HANGS {
                self.child.kill().unwrap();
                panic!("a child hangs");
            }
            sleep(Duration::from_micros(300));
        }
        let (mut stderr, status) = (String::new(), self.child.wait().unwrap());
        self.stderr.rewind().unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Ended { status, stderr }
    }
}

/// Runs a command whose output nobody reads to its end.
pub fn end_of(command: &mut Command) -> Ended {
    Running::start_silent(command).wait()
}

/// Random numbers (SplitMix64), the same every time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    pub fn pause(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.roll() as f64 / u64::MAX as f64)
    }
}

/// How a child came to its end, and what it took.
pub struct Spent {
    pub ended: Ended,
    pub processor: Duration,
    /// Bytes resident at most.
    pub memory: u64,
}

/// Runs a command to its end and asks the system what it took.
pub fn spent(command: &mut Command) -> Spent {
    let mut running = Running::start_silent(command);
    let id = running.child.id() as i32;
    let mut status = 0;
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and nobody else waits for it; both places are there to be written to.
    assert_eq!(unsafe { libc::wait4(id, &mut status, 0, &mut usage) }, id);
    let mut stderr = String::new();
    running.stderr.rewind().unwrap();
    running.stderr.read_to_string(&mut stderr).unwrap();
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    let status = std::os::unix::process::ExitStatusExt::from_raw(status);
    Spent {
        ended: Ended { status, stderr },
        processor: time(usage.ru_utime) + time(usage.ru_stime),
        memory: usage.ru_maxrss as u64 * 1024,
    }
}
