//! Every command that trains, stopped at `points` places, by each signal in turn: between steps at the end of an epoch
//! and in the middle, and within the write of a checkpoint. Each must end as if it had never been stopped.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::kill::wait_for_a_save;
use crate::process::{Dice, Running, end_of};
use crate::runs::{Kind, Place, time_of};

pub fn run(points: u64) -> String {
    let place = Place::new().with_encoder();
    let mut dice = Dice(1);
    let (mut stopped, mut killed, mut inside) = (0, 0, 0);
    for kind in Kind::ALL {
        let whole = time_of(&mut place.begin(kind, "whole", &[]), "whole");
        let left = place.left("whole");
        for point in 0..points {
            let run = format!("{kind:?}{point}");
            let signal = [libc::SIGINT, libc::SIGKILL, libc::SIGTERM][(point % 3) as usize];
            // Where records are streamed, so many of them come first; a table has none until its end.
            let mut command = place.begin(kind, &run, &["--json"]);
            let mut child = Running::start(command.stdout(Stdio::piped()));
            let mut lines = BufReader::new(child.child.stdout.take().unwrap()).lines();
            if kind.command() == "finetune" {
                sleep(dice.pause(whole));
            } else {
                (0..=point % 5).for_each(|_| drop(lines.next())); // of six steps at least
            }
            if signal == libc::SIGKILL && point % 2 == 0 {
                inside += u64::from(wait_for_a_save(&place, &run, &mut child, Duration::from_millis(20), &mut dice));
            }
            if !child.is_over() {
                child.signal(signal);
            }
            let drain = std::thread::spawn(move || lines.for_each(drop)); // a closed pipe would be another reason to stop
            let ended = child.wait();
            drain.join().unwrap();
            match (ended.code(), signal) {
                (Some(0), _) => {} // it had come to its end
                (None, libc::SIGKILL) => killed += 1,
                (Some(code), _) => {
                    assert_eq!(code, 128 + signal, "{run}: {}", ended.stderr);
                    stopped += 1;
                }
                (None, _) => assert!(began_late(&ended.stderr), "{run}: {}", ended.stderr),
            }
            let threads = ["1", "2", "3"][dice.below(3)];
            let began = Instant::now();
            end_of(&mut place.go_on(kind, &run, &[], &["--threads", threads])).expect(0, &run);
            assert!(began.elapsed() < Duration::from_secs(120));
            place.assert_same(&run, &left);
            place.remove(&run);
        }
        place.remove("whole");
    }
    format!(
        "{} kinds of training stopped at {points} points each ({stopped} by SIGINT or SIGTERM, {killed} by SIGKILL, \
         {inside} of them inside the write of a checkpoint), each resumed to the same bytes",
        Kind::ALL.len()
    )
}

/// A signal may come before the program listens: while it reads its data it has nothing to save, and just ends.
fn began_late(stderr: &str) -> bool {
    !stderr.contains("step")
}
