//! The same seed twice, on 1, 2, 3, 8 and `most` threads, in another directory, under another umask, with and without a
//! progress bar: the same bytes.

use std::os::unix::process::CommandExt;

use crate::process::end_of;
use crate::runs::{Kind, Place};
use crate::terminal::{Screen, Settings};

pub fn run(most: u64) -> String {
    let place = Place::new().with_encoder();
    let mut compared = 0;
    for kind in Kind::ALL {
        end_of(&mut place.begin(kind, "whole", &[])).expect(0, "whole");
        let left = place.left("whole");
        let mut compare = |place: &Place| {
            place.assert_same("other", &left);
            place.remove("other");
            compared += 1;
        };
        let threads = [1, 2, 3, 8, 16];
        for threads in threads.into_iter().filter(|&threads| threads <= most) {
            end_of(&mut place.begin(kind, "other", &["--threads", &threads.to_string()])).expect(0, "other threads");
            compare(&place);
        }
        let mut private = place.begin(kind, "other", &[]);
        // SAFETY: umask is safe to call between fork and exec, and changes the child alone.
        unsafe {
            private.pre_exec(|| {
                libc::umask(0o077);
                Ok(())
            })
        };
        end_of(&mut private).expect(0, "another umask");
        compare(&place);
        Screen::run(place.begin(kind, "other", &[]), &Settings::default()).expect(0, "a bar");
        compare(&place);
        if !matches!(kind, Kind::Linear | Kind::Full) {
            let elsewhere = Place::new();
            end_of(&mut elsewhere.begin(kind, "other", &[])).expect(0, "another directory");
            compare(&elsewhere);
        }
        place.remove("whole");
    }
    format!("{compared} runs compared file by file with the first of their kind, all the same bytes")
}
