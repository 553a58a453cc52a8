//! What a run must bear: killed, starved of disk, fed garbage, signalled, piped anywhere. Nothing is ever lost, and no
//! answer is another.
//!
//! `cargo test --release` runs a short form of every part. `cargo test --release --test torture -- PART [COUNT]` runs one in
//! full, or as long as COUNT says; `all` is every part in full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

// System calls that fail.
mod calls;
// NaN in the middle of a run.
mod diverge;
// A disk that is too small, or fills up.
mod disk;
// Damaged and hostile files of every kind that is read.
mod hostile;
// kill -9.
mod kill;
// Memory and disk over hours.
mod long;
// Several processes that train together.
mod processes;
// The program's children: started, signalled, waited for.
mod process;
// Runs at their smallest, and when two are the same.
mod runs;
// The same bytes whatever is around.
mod same;
// Signals.
mod signals;
// Stopped and resumed.
mod resume;
// Pipes and terminals.
mod terminal;

#[path = "../device.rs"]
#[allow(dead_code)]
mod device;
#[path = "../support.rs"]
#[allow(dead_code)]
mod support;

use std::time::Instant;

/// Counts what the parts in this process have allocated, and else is the system's.
#[global_allocator]
static ALLOCATOR: hostile::Counting = hostile::Counting;

/// Something that a run must bear.
struct Part {
    name: &'static str,
    /// How often in `cargo test`, and in full.
    short: u64,
    full: u64,
    /// Tries it so often; says what was tried. Panics where something was lost.
    run: fn(u64) -> Tried,
}

/// What a part has come to: what was tried, or what this machine lacks for it.
type Tried = Result<String, Lacking>;

/// What a part needs and does not find: it counts as ignored.
#[derive(Debug)]
struct Lacking(String);

const PARTS: &[Part] = &[
    Part { name: "resume", short: 1, full: 20, run: |times| Ok(resume::run(times)) },
    Part { name: "kill", short: 10, full: 1000, run: |times| Ok(kill::run(times)) },
    Part { name: "calls", short: 1, full: u64::MAX, run: calls::run },
    Part { name: "disk", short: 1, full: 10, run: disk::run },
    Part { name: "hostile", short: 100, full: 10_000, run: |times| Ok(hostile::run(times)) },
    Part { name: "signals", short: 4, full: 200, run: |times| Ok(signals::run(times)) },
    Part { name: "processes", short: 3, full: 100, run: processes::run },
    Part { name: "terminal", short: 2, full: 10, run: |times| Ok(terminal::run(times)) },
    Part { name: "same", short: 0, full: 16, run: |times| Ok(same::run(times)) },
    Part { name: "diverge", short: 4, full: 50, run: |times| Ok(diverge::run(times)) },
    Part { name: "long", short: 0, full: 3600, run: |times| Ok(long::run(times)) },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [inside, directory] = arguments.as_slice()
        && inside == disk::INSIDE
    {
        return disk::inside(std::path::Path::new(directory));
    }
    // cargo passes the flags of its own test programs and the filters of others on to this one.
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let count = words.get(1).map(|count| count.parse::<u64>().expect("a count"));
    let full = arguments.iter().any(|flag| flag == "--full");
    let lists = arguments.iter().any(|flag| flag == "--list");
    let chosen = |part: &&Part| match words.first() {
        None => part.short > 0,
        Some(word) => *word == "all" || *word == part.name,
    };
    let in_memory = std::path::Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none() && in_memory.is_dir() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("TMPDIR", in_memory) };
    }
    let (mut passed, mut ignored, mut failed) = (0, 0, Vec::new());
    for part in PARTS.iter().filter(chosen).filter(|_| !lists) {
        let count = match words.first() {
            None if !full => part.short,
            _ => count.unwrap_or(part.full),
        };
        let began = Instant::now();
        match std::panic::catch_unwind(|| (part.run)(count)) {
            Ok(Ok(figures)) => {
                println!("{}: {figures} ({:.0} s)", part.name, began.elapsed().as_secs_f64());
                passed += 1;
            }
            Ok(Err(Lacking(what))) => {
                println!("{}: ignored, needs {what}", part.name);
                ignored += 1;
            }
            Err(_) => {
                println!("{}: FAILED", part.name);
                failed.push(part.name);
            }
        }
    }
    if !lists {
        let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
        println!("\ntest result: {verdict}. {passed} passed; {} failed; {ignored} ignored", failed.len());
    }
    if !failed.is_empty() {
        std::process::exit(101);
    }
}
