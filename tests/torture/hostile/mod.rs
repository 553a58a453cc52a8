//! Damaged and hostile files of every kind that is read: `times` mutations of each, ten times as many of checkpoints.
//! Each is read or refused as an input error of one to three lines: without a panic, a hang, or more memory than twice
//! the file and 64 MiB.

// What bursts when it is opened.
mod bombs;
// Archives and compressed files, packed again around damaged contents.
mod containers;
// Files of each kind, and who reads them.
mod kinds;
// What happens to bytes.
mod mutations;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::process::Dice;

/// What a file may take beside twice its own size.
const SPARE: usize = 64 << 20;
/// Reading one of these files takes milliseconds; this is seconds of the process's time.
const HANGS: f64 = 10.0;

/// The system's allocator, counted.
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system's allocator's; counting touches no memory of the blocks.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new may be there at once, but the system moves pages instead where blocks are large.
        grow(size.saturating_sub(layout.size()));
        LIVE.fetch_sub(layout.size().saturating_sub(size), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

/// The processor time at which the trial in progress began, in milliseconds; 0 between trials.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Processor time of this process in seconds, which a busy machine does not stretch.
fn processor() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is there to be written to.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Ends the process where a trial hangs; its file is still in its directory.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let began = BEGAN.load(Ordering::Relaxed);
        if began > 0 && processor() > began as f64 / 1000.0 + HANGS {
            eprintln!("a trial hangs");
            std::process::exit(101);
        }
    }
}

pub fn run(times: u64) -> String {
    std::thread::spawn(watch);
    let mut figures = Vec::new();
    for kind in kinds::all() {
        let times = times * kind.weight;
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in &kind.around {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let (mut taken, mut largest, mut longest) = (0u64, 0, 0.0);
        for trial in 0..times {
            let mut dice = Dice(trial.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ kind.name.len() as u64);
            let seed = &kind.seeds[dice.below(kind.seeds.len())];
            let bytes = if trial == 0 { seed.clone() } else { (kind.mutate)(seed, &mut dice) };
            let path = directory.path().join(kind.file);
            std::fs::write(&path, &bytes).unwrap();
            BEGAN.store((processor() * 1000.0) as u64 + 1, Ordering::Relaxed);
            let (began, live) = (processor(), LIVE.load(Ordering::Relaxed));
            PEAK.store(live, Ordering::Relaxed);
            let outcome = catch_unwind(AssertUnwindSafe(|| (kind.read)(directory.path(), &path)));
            let grown = PEAK.load(Ordering::Relaxed).saturating_sub(live);
            longest = f64::max(longest, processor() - began);
            BEGAN.store(0, Ordering::Relaxed);
            largest = largest.max(grown.saturating_sub(2 * bytes.len()));
            let keep = |what: &str| {
                let kept = std::env::temp_dir().join(format!("hostile-{}-{trial}", kind.name.replace(' ', "-")));
                std::fs::write(&kept, &bytes).unwrap();
                panic!("{}: trial {trial}: {what}; the file is kept as {}", kind.name, kept.display())
            };
            match outcome {
                Err(_) => keep("a panic"),
                Ok(Ok(())) => taken += 1,
                Ok(Err(error)) => {
                    let (code, text) = (gan::commands::exit_code::exit_code(&error), gan::error::text(&error));
                    let plain = !text.chars().any(|character| character.is_control() && character != '\n');
                    if !kind.codes.contains(&code) || !plain || text.trim().lines().count() > 3 {
                        keep(&format!("code {code}: {text:?}"));
                    }
                }
            }
            if grown > 2 * bytes.len() + SPARE {
                keep(&format!("{grown} bytes for a file of {}", bytes.len()));
            }
            if trial == 0 && taken == 0 {
                keep("the undamaged file is refused");
            }
        }
        let (largest, longest) = (largest as f64 / f64::from(1 << 20), longest * 1000.0);
        eprintln!("{} done", kind.name);
        figures.push(format!("{} {times} ({taken} taken, {largest:.1} MiB, {longest:.0} ms)", kind.name));
    }
    let bombs = bombs::run();
    format!("mutated files (beside twice the file at most so much memory, so long): {}; {bombs}", figures.join(", "))
}
