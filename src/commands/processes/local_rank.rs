//! Which of the processes of its host this one is.

use super::Processes;

/// Where launchers say so: Open MPI; MPICH and Intel's MPI; Slurm. Slurm comes last: `mpirun` in a job may have been started
/// by `srun`, once on each host.
const LOCAL_RANKS: [&str; 3] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];

impl Processes {
    /// Which of the processes of its host this one is, from 0: as the launcher says, else in the order of the ranks.
    pub fn local_rank(&self) -> usize {
        if self.communicator.size() == 1 && self.apart.is_none() {
            return 0;
        }
        let rank = self.communicator.rank();
        named(|name| std::env::var(name).ok()).unwrap_or_else(|| place(rank, &self.hosts))
    }
}

fn named(variable: impl Fn(&str) -> Option<String>) -> Option<usize> {
    LOCAL_RANKS.iter().find_map(|name| variable(name)?.trim().parse().ok())
}

/// How many processes before `rank` are on its host.
fn place(rank: usize, hosts: &[String]) -> usize {
    hosts.iter().take(rank).filter(|host| hosts.get(rank) == Some(host)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_says_which_of_its_host_a_process_is() {
        let of = |environment: &[(&str, &str)]| {
            named(|name| environment.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string()))
        };
        assert_eq!(of(&[("OMPI_COMM_WORLD_LOCAL_RANK", "3"), ("SLURM_LOCALID", "0")]), Some(3), "mpirun in a job");
        assert_eq!(of(&[("MPI_LOCALRANKID", "2"), ("SLURM_LOCALID", "0")]), Some(2));
        assert_eq!(of(&[("SLURM_LOCALID", "1"), ("SLURM_PROCID", "5")]), Some(1), "srun");
        assert_eq!(of(&[("OMPI_COMM_WORLD_LOCAL_RANK", "x"), ("SLURM_LOCALID", "1")]), Some(1), "no number");
        assert_eq!(of(&[("OMPI_COMM_WORLD_RANK", "4")]), None);
    }

    #[test]
    fn else_the_order_of_the_ranks_says_it() {
        let hosts = |names: &str| -> Vec<usize> {
            let hosts: Vec<String> = names.chars().map(String::from).collect();
            (0..hosts.len()).map(|rank| place(rank, &hosts)).collect()
        };
        assert_eq!(hosts("aabb"), [0, 1, 0, 1], "host by host");
        assert_eq!(hosts("abab"), [0, 0, 1, 1], "one on each in turn");
        assert_eq!(hosts("aab"), [0, 1, 0]);
    }
}
