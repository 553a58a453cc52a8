//! The processors of a host, where several processes may run on the same ones.

use std::ops::RangeInclusive;

/// Processors that this process may run on, as Linux lists them: `0-3,8`. Empty where the system does not say.
#[cfg(feature = "mpi")] // nothing else asks
pub fn allowed() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.unwrap_or_default().trim().to_string()
}

/// How many threads are this process's share, it being number `own` of the processes of its host, which may run on the
/// processors of these lists.
pub fn share(own: usize, lists: &[String]) -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let allowed = lists.get(own).map_or(0, |list| ranges(list).into_iter().flatten().count());
    let share = match allowed {
        0 => available as f64 / lists.len().max(1) as f64,
        // Fewer are available than it may run on where its time is limited.
        _ => part(own, lists) * (available as f64 / allowed as f64).min(1.0),
    };
    ((share + 1e-6) as usize).max(1)
}

/// The processors that process `own` has, of which one counts for its part to each process that may run on it: a launcher
/// may bind each process to processors of its own, some to the same, or none to any.
fn part(own: usize, lists: &[String]) -> f64 {
    let sets: Vec<_> = lists.iter().map(|list| ranges(list)).collect();
    let users = |processor| sets.iter().filter(|set| set.iter().any(|range| range.contains(&processor))).count();
    sets[own].iter().cloned().flatten().map(|processor| 1.0 / users(processor) as f64).sum()
}

fn ranges(list: &str) -> Vec<RangeInclusive<usize>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_shared_by_those_that_may_run_on_it() {
        let parts = |lists: &[&str]| -> Vec<f64> {
            let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
            (0..lists.len()).map(|own| part(own, &lists)).collect()
        };
        assert_eq!(parts(&["0-15", "0-15"]), [8.0, 8.0], "bound to none");
        assert_eq!(parts(&["0-7", "8-15"]), [8.0, 8.0], "bound to some of their own");
        assert_eq!(parts(&["0", "1"]), [1.0, 1.0], "bound to one each");
        assert_eq!(parts(&["0-3,8-11", "0-3,8-11", "4-7,12"]), [4.0, 4.0, 5.0], "bound by sockets");
        assert!(ranges("").is_empty() && ranges("x-3").is_empty());
    }

    #[test]
    fn where_the_system_does_not_say_processes_share_evenly() {
        let available = std::thread::available_parallelism().unwrap().get();
        let lists = vec![String::new(); available];
        assert_eq!(share(0, &lists), 1);
        assert_eq!(share(0, &lists[..1]), available);
    }
}
