//! Which work of several threads may be in the pool at the same time.
//!
//! candle locks the storage of a tensor for as long as an op reads or changes it, and our ops wait for the pool meanwhile.
//! A thread of the pool that waits takes up whatever else the pool has to do. Were that a step that changes the tensors of
//! the op below it on the same stack, or an op that reads those that a step below is changing, each would wait for the
//! other for ever. So work that changes tensors has the pool to itself; work that only reads them shares it. Whoever
//! has to wait does so before it comes into the pool, and holds no tensor.
//!
//! Turns are given in the order of asking (parking_lot's lock is fair): a loop of steps does not shut others out.
//!
//! On a GPU the same turns keep the launches of others out of a recording: all threads share its one stream.
//!
//! Threads of a pool do not wait: they work on what somebody let in, or on something of the caller's own, such as an
//! iterator of rayon's. There the caller must see to it that nothing reads what a step changes.

use parking_lot::RwLock;
use std::cell::Cell;

static TURN: RwLock<()> = RwLock::new(());

thread_local! {
    /// Whether this thread has been let in: what it does within its turn must not wait for another.
    static IS_IN: Cell<bool> = const { Cell::new(false) };
}

fn waits() -> bool {
    rayon::current_thread_index().is_none() && !IS_IN.get()
}

/// Runs work that may change tensors: beside nothing else.
pub fn exclusive<R>(work: impl FnOnce() -> R) -> R {
    if !waits() {
        return work();
    }
    let _turn = TURN.write();
    within(work)
}

/// Runs work that changes no tensor that others may have: beside other work of that kind.
pub fn shared<R>(work: impl FnOnce() -> R) -> R {
    if !waits() {
        return work();
    }
    let _turn = TURN.read();
    within(work)
}

/// Runs work on a thread that another one, which has its turn, waits for.
pub fn within<R>(work: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            IS_IN.set(false);
        }
    }
    IS_IN.set(true);
    let _leave = Leave;
    work()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn work_that_changes_tensors_is_alone() {
        let (is_changing, readers, rounds) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let change = || {
            exclusive(|| {
                assert!(!is_changing.swap(true, Ordering::SeqCst) && readers.load(Ordering::SeqCst) == 0);
                // Within its turn a thread goes on, whatever it asks for.
                shared(|| exclusive(std::thread::yield_now));
                is_changing.store(false, Ordering::SeqCst);
            });
        };
        let look = || {
            shared(|| {
                readers.fetch_add(1, Ordering::SeqCst);
                rounds.fetch_add(1, Ordering::SeqCst);
                assert!(!is_changing.load(Ordering::SeqCst));
                readers.fetch_sub(1, Ordering::SeqCst);
            });
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..2000).for_each(|_| change()));
                scope.spawn(|| (0..2000).for_each(|_| look()));
            }
        });
        assert_eq!(rounds.into_inner(), 6000);
    }

    #[test]
    fn a_panic_ends_the_turn() {
        assert!(std::panic::catch_unwind(|| exclusive(|| panic!("as work may"))).is_err());
        assert_eq!(std::thread::spawn(|| exclusive(|| 7)).join().unwrap(), 7);
        assert!(waits());
    }
}
