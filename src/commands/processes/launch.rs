//! What a launcher says, in the environment of each process, of those that it has started.

use anyhow::bail;

use crate::error::Error;

/// The variables of a launcher.
struct Launcher {
    name: &'static str,
    /// Says that this one has started the process.
    sign: &'static str,
    size: &'static str,
    rank: &'static str,
}

const LAUNCHERS: [Launcher; 3] = [
    Launcher {
        name: "mpirun",
        sign: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        rank: "OMPI_COMM_WORLD_RANK",
    },
    Launcher { name: "mpirun or srun", sign: "PMI_RANK", size: "PMI_SIZE", rank: "PMI_RANK" },
    // Those of a job script are named otherwise: it is one process, whatever the job asks for.
    Launcher { name: "srun", sign: "SLURM_STEP_ID", size: "SLURM_STEP_NUM_TASKS", rank: "SLURM_PROCID" },
];

/// How a process was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub rank: usize,
    /// How many processes were started.
    pub size: usize,
    /// What has started them.
    pub launcher: &'static str,
    /// The variable that has the rank.
    pub rank_variable: &'static str,
}

impl Launch {
    /// As the environment says; `None` without a launcher.
    ///
    /// # Errors
    /// [`Error::Usage`] where the environment is only half set.
    pub fn detect() -> anyhow::Result<Option<Self>> {
        Self::among(|name| std::env::var(name).ok())
    }

    fn among(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        for Launcher { name: launcher, sign, size, rank } in LAUNCHERS {
            let set = match (variable(sign), variable(size)) {
                // Its rank alone Slurm gives a job's script too.
                (None, None) => continue,
                (None, Some(_)) => size,
                (Some(_), _) => sign,
            };
            if let Some(missing) = [sign, size, rank].into_iter().find(|name| variable(name).is_none()) {
                bail!(Error::Usage(format!(
                    "the environment sets {set} but not {missing}\nstart several processes with \
                     `mpirun -n 4 gan ...` or `srun -n 4 --mpi=pmix gan ...`; unset {set} to start one"
                )));
            }
            let number = |name: &str| {
                let value = variable(name).unwrap_or_default();
                match value.trim().parse::<usize>() {
                    Ok(number) => Ok(number),
                    Err(_) => Err(Error::Usage(format!("{name}={value} in the environment is not a number"))),
                }
            };
            let launch = Self { rank: number(rank)?, size: number(size)?, launcher, rank_variable: rank };
            if launch.rank >= launch.size {
                bail!(Error::Usage(format!("the environment sets {rank}={} and {size}={}", launch.rank, launch.size)));
            }
            return Ok(Some(launch));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(environment: &[(&str, &str)]) -> anyhow::Result<Option<(usize, usize, &'static str)>> {
        let variable =
            |name: &str| environment.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string());
        Ok(Launch::among(variable)?.map(|launch| (launch.rank, launch.size, launch.launcher)))
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        let mpirun = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "4")];
        let srun = [("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_PROCID", "3")];
        assert_eq!(of(&mpirun).unwrap(), Some((1, 4, "mpirun")));
        assert_eq!(of(&[srun, srun].concat()).unwrap(), Some((3, 8, "srun")));
        assert_eq!(of(&[&srun[..], &mpirun].concat()).unwrap(), Some((1, 4, "mpirun")), "mpirun in a step of Slurm's");
        assert_eq!(of(&[("PMI_RANK", "0"), ("PMI_SIZE", "2")]).unwrap(), Some((0, 2, "mpirun or srun")));
        assert_eq!(of(&[("SLURM_JOB_ID", "7"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")]).unwrap(), None);
    }

    #[test]
    fn what_is_half_set_or_no_number_is_refused() {
        let refused = |environment: &[(&str, &str)]| of(environment).unwrap_err().to_string();
        assert!(refused(&[("PMI_SIZE", "2")]).contains("sets PMI_SIZE but not PMI_RANK"));
        assert!(refused(&[("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "2")]).contains("but not SLURM_PROCID"));
        assert!(refused(&[("PMI_RANK", "0"), ("PMI_SIZE", "many")]).contains("PMI_SIZE=many"));
        assert!(refused(&[("PMI_RANK", "2"), ("PMI_SIZE", "2")]).contains("PMI_RANK=2 and PMI_SIZE=2"));
    }
}
