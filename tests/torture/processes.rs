//! Several processes that train together: SIGKILL of any of them or of their launcher at `trials` random moments, a disk
//! that is full for the one that writes. All end, no checkpoint is lost, and the run goes on in another number of processes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::calls;
use crate::process::{Dice, Running, end_of};
use crate::runs::{Kind, Place, time_of};
use crate::{Lacking, Tried};

/// How long the others may go on after one was killed.
const MOST: Duration = Duration::from_secs(30);

const FLAGS: &[&str] = &["--shards", "4", "--no-ema", "--threads", "1"];

pub fn run(trials: u64) -> Tried {
    if !cfg!(has_mpi) {
        return Err(Lacking("the feature mpi, and mpirun".into()));
    }
    let place = Place::new();
    let whole = time_of(&mut launched(&place.begin(Kind::Vanilla, "whole", FLAGS), 2), "whole");
    let left = place.left("whole");
    let (mut dice, mut tried) = (Dice(24), Counts::default());
    let mut round = 0;
    while tried.killed() < trials {
        let run = format!("run{round}");
        kill_until_done(&place, &run, whole, trials, &mut tried, &mut dice);
        place.assert_same(&run, &left);
        assert!(place.temporaries(&run).is_empty(), "temporaries were left");
        place.remove(&run);
        round += 1;
    }
    let disk = full_disk(&place, trials.min(10), &mut dice);
    let Counts { launchers, first, others, slowest, stuck } = tried;
    Ok(format!(
        "{} kills of two or four processes ({launchers} of the launcher, {first} of the first, {others} of another), the others \
         gone after at most {:.1} s ({stuck} launchers went on alone); {round} runs ended in the same bytes; {disk}",
        launchers + first + others,
        slowest.as_secs_f64()
    ))
}

#[derive(Default)]
struct Counts {
    launchers: u64,
    first: u64,
    others: u64,
    slowest: Duration,
    /// Launchers that went on without any process.
    stuck: u64,
}

impl Counts {
    fn killed(&self) -> u64 {
        self.launchers + self.first + self.others
    }
}

/// Goes on with `run` in one, two or four processes, and kills one of them or their launcher, until it has come to its end.
fn kill_until_done(place: &Place, run: &str, whole: Duration, trials: u64, tried: &mut Counts, dice: &mut Dice) {
    let mut patience = 1.0;
    while tried.killed() < trials {
        patience *= 1.05; // every run gets somewhere
        let processes = [2, 4][dice.below(2)];
        let mut launcher =
            Running::start_silent(&mut launched(&place.go_on(Kind::Vanilla, run, FLAGS, &[]), processes));
        sleep(dice.pause(whole.mul_f64(patience)));
        let ranks = children(launcher.child.id());
        let victim = dice.below(ranks.len() + 1);
        let pid = ranks.get(victim).copied().unwrap_or(launcher.child.id());
        if launcher.is_over() {
            launcher.wait().expect(0, run);
            return;
        }
        // SAFETY: the launcher is our child and was not waited for; what it has started is its own until it ends.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        let since = Instant::now();
        while ranks.iter().any(|pid| is_alive(*pid)) {
            assert!(since.elapsed() < MOST, "a process goes on without the others");
            sleep(Duration::from_millis(5));
        }
        tried.slowest = tried.slowest.max(since.elapsed());
        // Open MPI 4.1's launcher at times does not notice that all that it has started is gone.
        while !launcher.is_over() && since.elapsed() < 2 * MOST {
            sleep(Duration::from_millis(5));
        }
        if !launcher.is_over() {
            tried.stuck += 1;
            launcher.signal(libc::SIGKILL);
        }
        let code = launcher.wait().code();
        // The run may have come to its end just before.
        if code == Some(0) {
            return;
        }
        match victim {
            _ if pid != ranks.get(victim).copied().unwrap_or_default() => tried.launchers += 1,
            0 => tried.first += 1,
            _ => tried.others += 1,
        }
        place.assert_whole(run);
    }
    end_of(&mut place.go_on(Kind::Vanilla, run, FLAGS, &[])).expect(0, run);
}

/// A disk that is full from some call of the first process on: exit code 5, said once, and the run goes on.
fn full_disk(place: &Place, times: u64, dice: &mut Dice) -> String {
    let Some(library) = calls::library(place) else { return "no full disk: that needs cc".into() };
    let left = place.left("whole");
    for time in 0..times {
        let run = format!("full{time}");
        let mut begun = calls::preloaded(launched(&place.begin(Kind::Vanilla, &run, FLAGS), 2), &library);
        begun.env("FAULT_CALL", "write").env("FAULT_AT", (10 + dice.below(40)).to_string());
        begun.env("FAULT_PLACE", &run).env("FAULT_ERROR", libc::ENOSPC.to_string()).env("FAULT_ONWARDS", "1");
        let ended = end_of(&mut begun);
        ended.expect(5, &run);
        assert_eq!(ended.stderr.matches("No space left").count(), 1, "{}", ended.stderr);
        place.assert_whole(&run);
        end_of(&mut launched(&place.go_on(Kind::Vanilla, &run, FLAGS, &[]), 2)).expect(0, &run);
        place.assert_same(&run, &left);
        place.remove(&run);
    }
    format!("a disk that is full for one of two processes {times} times: code 5, said once, and gone on with")
}

/// The same command in so many processes.
fn launched(command: &Command, processes: usize) -> Command {
    let mut launched = Command::new("mpirun");
    launched
        .args(["--oversubscribe", "-n", &processes.to_string()])
        .arg(command.get_program())
        .args(command.get_args());
    launched.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    if let Some(directory) = command.get_current_dir() {
        launched.current_dir(directory);
    }
    launched
}

/// What a process has started, in the order of their numbers.
fn children(parent: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let mut children: Vec<u32> = listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    children.sort_unstable();
    children
}

/// Whether a process runs: one that nobody has waited for yet does not.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| !"ZX".contains(state))
}
