use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::bail;
use gan::distributed::{Alone, Communicator, Rounds};
use gan::error::Error;

use super::{Together, in_processes};

/// Two values of each item.
fn values(items: std::ops::Range<u64>) -> Vec<f32> {
    items.flat_map(|item| [item as f32, -(item as f32)]).collect()
}

#[test]
fn tiles_come_in_order_and_whole_however_many_share_them() {
    for (items, tile) in [(0..10, 3), (5..23, 4), (7..8, 4), (0..0, 4), (0..64, 8)] {
        let shared = |processes: &dyn Communicator, is_for_all: bool| {
            let mut computed = 0;
            let mut rounds = Rounds::new(processes, items.clone(), tile, 2);
            rounds = if is_for_all { rounds.for_all() } else { rounds };
            let mut all = Vec::new();
            while let Some((range, found)) = rounds
                .next(
                    |_| 0,
                    |range| {
                        computed += 1;
                        Ok(values(range))
                    },
                )
                .unwrap()
            {
                assert!(range.start == items.start || range.start % tile as u64 == 0, "tiles begin at multiples");
                assert_eq!(found, values(range));
                all.extend(found);
            }
            assert_eq!(rounds.stopped(), None);
            (all, computed)
        };
        let (expected, tiles) = shared(&Alone, false);
        assert_eq!(expected, values(items.clone()));
        for size in [2, 3, 5] {
            let counts = Mutex::new(Vec::new());
            let found = in_processes(size, |processes| {
                let (found, computed) = shared(&*processes, true);
                counts.lock().unwrap().push(computed);
                found
            });
            assert_eq!(found, expected, "{items:?} by {size}");
            let counts = counts.into_inner().unwrap();
            assert_eq!(counts.iter().sum::<usize>(), tiles, "each tile is computed once");
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
            let of_first =
                |processes: Arc<dyn Communicator>| (processes.rank() > 0) ^ (shared(&*processes, false).0 == expected);
            assert!(expected.is_empty() || in_processes(size, of_first), "the others get none");
        }
    }
}

#[test]
fn a_stop_in_one_process_ends_the_work_in_all() {
    let end = |processes: Arc<dyn Communicator>| {
        let (rank, mut tiles) = (processes.rank(), 0);
        let mut rounds = Rounds::new(&*processes, 0..100, 1, 2).for_all();
        let stop = |done: u64| if rank == 2 && done >= 30 { 15 } else { 0 };
        while rounds.next(stop, |range| Ok(values(range))).unwrap().is_some() {
            tiles += 1;
        }
        (rounds.stopped(), tiles)
    };
    assert_eq!(in_processes(3, end), (Some(15), 30));
}

/// What each of three processes ends with, in their order.
fn ends(work: impl Fn(&dyn Communicator) -> anyhow::Result<()> + Sync) -> Vec<String> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = Together::all(3).into_iter().map(|own| scope.spawn(move || work(&own))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap_err().to_string()).collect()
    })
}

#[test]
fn a_failure_in_one_process_ends_the_work_in_all() {
    let other = Error::OtherProcess.to_string();
    let computing = ends(|processes| {
        let mut rounds = Rounds::new(processes, 0..9, 1, 2);
        let compute = |range: std::ops::Range<u64>| if range.start == 4 { bail!("item 4") } else { Ok(values(range)) };
        while rounds.next(|_| 0, compute)?.is_some() {}
        Ok(())
    });
    assert_eq!(computing, [&*other, "item 4", &*other]);
    let taking = ends(|processes| {
        let mut rounds = Rounds::new(processes, 0..9, 1, 2);
        while let Some((range, _)) = rounds.next(|_| 0, |range| Ok(values(range)))? {
            if range.start == 4 {
                bail!("no room for item 4");
            }
        }
        Ok(())
    });
    assert_eq!(taking, ["no room for item 4", &*other, &*other]);
}
