//! Threads of the pool that poll for work between two ops rather than sleep.
//!
//! A thread of rayon's that finds nothing to do sleeps after some microseconds. To wake it takes as long as a small op, and
//! between two ops of a step there is always something that one thread does alone.

use rayon::Yield;
use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

/// Polls in vain after which a thread may sleep after all: about a millisecond.
const MAX_IDLE_POLLS: usize = 1000;

/// Pauses between two polls, for each thread of the pool: all together they poll the working thread equally often.
const PAUSES: usize = 10;

thread_local! {
    /// Whether this thread is in [`keep_pool_spinning`]: while it waits there it must not begin to poll.
    static IS_WORKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on one of the pool's own threads, and keeps the others from sleeping as long as it goes on.
pub fn keep_pool_spinning<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if IS_WORKING.get() {
        return work();
    }
    let is_done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let is_done = &is_done;
        scope.spawn_broadcast(move |_, _| poll(is_done));
        let _end = End { is_done, before: IS_WORKING.replace(true) };
        work()
    })
}

/// Ends the polling of the other threads, however the work ends.
struct End<'a> {
    is_done: &'a AtomicBool,
    /// Of [`IS_WORKING`]: the thread may have taken this work in while it waits in another.
    before: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        IS_WORKING.set(self.before);
    }
}

/// Executes what the pool has to do, until the work is done or there was nothing for long.
fn poll(is_done: &AtomicBool) {
    let mut idle_polls = 0;
    while idle_polls < MAX_IDLE_POLLS && !IS_WORKING.get() && !is_done.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle_polls = 0;
            continue;
        }
        idle_polls += 1;
        for _ in 0..PAUSES * rayon::current_num_threads() {
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    /// Many at once, one within another, from threads of the pool and from others: all come to their end.
    #[test]
    fn works_of_many_threads_do_not_wait_for_each_other() {
        let sum = || (0..1000_u32).into_par_iter().with_max_len(1).sum::<u32>();
        let nested = || keep_pool_spinning(|| sum() + keep_pool_spinning(sum));
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            std::thread::scope(|scope| {
                let others: Vec<_> = (0..4).map(|_| scope.spawn(|| pool.install(nested))).collect();
                let within: u32 = pool.install(|| (0..40).into_par_iter().map(|_| nested()).sum());
                assert_eq!(within, 40 * 2 * 499_500);
                others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), 2 * 499_500));
            });
        }
    }

    #[test]
    fn a_panic_passes_through_and_leaves_the_pool_as_it_was() {
        assert!(std::panic::catch_unwind(|| keep_pool_spinning(|| panic!("as work may"))).is_err());
        assert_eq!(keep_pool_spinning(|| 7), 7);
        assert!(!IS_WORKING.get());
    }
}
