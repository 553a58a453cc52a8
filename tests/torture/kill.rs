//! kill -9 at `trials` moments, half of them at random, half aimed at the write of a checkpoint.

use std::thread::sleep;
use std::time::Duration;

use crate::process::{Dice, Running, end_of};
use crate::runs::{Kind, Place, listing, time_of};

/// Waits until a checkpoint of `run` is being written, and then at most `longest`; false where the child ended first.
pub fn wait_for_a_save(place: &Place, run: &str, child: &mut Running, longest: Duration, dice: &mut Dice) -> bool {
    while !is_saving(place, run) {
        if child.is_over() {
            return false;
        }
        sleep(Duration::from_micros(100));
    }
    sleep(dice.pause(longest));
    is_saving(place, run)
}

fn is_saving(place: &Place, run: &str) -> bool {
    listing(&place.weights(run)).iter().any(|name| name.starts_with(".step-"))
}

pub fn run(trials: u64) -> String {
    let place = Place::new().with_encoder();
    let mut dice = Dice(2);
    let kinds = [Kind::Vanilla, Kind::Simclr, Kind::Vanilla, Kind::Linear];
    let mut tried = Tried::default();
    let mut round = 0;
    while tried.kills < trials {
        let kind = kinds[round % kinds.len()];
        let flags: &[&str] = if kind == Kind::Vanilla { &["--no-ema"] } else { &[] };
        let whole = time_of(&mut place.begin(kind, "whole", flags), "whole");
        let left = place.left("whole");
        // A run a reference would do; a few make the references cheap.
        for _ in 0..4 {
            let run = format!("{kind:?}{round}");
            tried.finished += kill_until_done(&place, kind, &run, flags, whole, trials, &mut tried, &mut dice);
            place.assert_same(&run, &left);
            assert!(place.temporaries(&run).is_empty(), "temporaries were left");
            place.remove(&run);
        }
        place.remove("whole");
        round += 1;
    }
    let Tried { kills, inside, in_a_write, refused, finished } = tried;
    format!(
        "{kills} kills, {inside} inside the write of a checkpoint and {in_a_write} inside that of another file; every \
         checkpoint left was whole, {finished} runs ended in the same bytes; {refused} second processes refused"
    )
}

#[derive(Default)]
struct Tried {
    kills: u64,
    inside: u64,
    in_a_write: u64,
    refused: u64,
    finished: u64,
}

/// Kills `run` and goes on with it until it has come to its end or there were enough kills. Then without. Gives 1.
#[allow(clippy::too_many_arguments)]
fn kill_until_done(
    place: &Place,
    kind: Kind,
    run: &str,
    flags: &[&str],
    whole: Duration,
    trials: u64,
    tried: &mut Tried,
    dice: &mut Dice,
) -> u64 {
    // On a busy machine the first step may come later than any pause: then they grow, so that every run gets somewhere.
    let (mut kills, mut patience) = (0, 1.0);
    while tried.kills < trials {
        kills += 1;
        if kills > 20 {
            patience *= 1.1;
        }
        let mut child = Running::start_silent(&mut place.go_on(kind, run, flags, &[]));
        if tried.kills.is_multiple_of(2) {
            sleep(dice.pause(whole.mul_f64(0.8 * patience)));
        } else {
            wait_for_a_save(place, run, &mut child, Duration::from_millis(15).mul_f64(patience), dice);
        }
        if tried.kills.is_multiple_of(20) && is_saving(place, run) && !child.is_over() {
            let second = end_of(&mut place.resume(kind, run, &[]));
            if !child.is_over() {
                assert!(second.expect(2, "a second process").stderr.contains("in use"), "{}", second.stderr);
                tried.refused += 1;
            }
        }
        if !child.is_over() {
            child.signal(libc::SIGKILL);
        }
        let ended = child.wait();
        if ended.code().is_some() {
            ended.expect(0, run);
            return 1;
        }
        tried.kills += 1;
        if tried.kills.is_multiple_of(100) {
            eprintln!("{} kills, {} inside the write of a checkpoint", tried.kills, tried.inside);
        }
        let temporaries = place.temporaries(run);
        if temporaries.iter().any(|name| name.starts_with(".step-") && name.contains(".safetensors")) {
            tried.inside += 1;
        } else if !temporaries.is_empty() {
            tried.in_a_write += 1;
        }
        place.assert_whole(run);
    }
    end_of(&mut place.go_on(kind, run, flags, &[])).expect(0, run);
    1
}
