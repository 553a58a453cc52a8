//! Several processes that a build without MPI cannot join: each works by itself, on what it alone is told to do.

use std::path::Path;

use anyhow::bail;

use super::Processes;
use super::launch::Launch;
use crate::error::Error;
use crate::report::Console;

/// How to join processes, and how to do without.
const BUILD: &str = "build it with `cargo build --release --features mpi`";

impl Processes {
    /// Says, in the first of processes that are not joined, that they are not.
    pub fn note_apart(&self, console: &Console) {
        if let Some(Launch { rank: 0, size, launcher, .. }) = self.apart {
            console.note(&format!(
                "{launcher} has started {size} processes, and this binary was built without mpi: each does all that its own \
                 flags say"
            ));
        }
    }

    /// [`Error::Usage`] where this process would train a network of its own beside others that were to train the same.
    pub fn refuse_to_train_apart(&self) -> anyhow::Result<()> {
        match self.apart {
            Some(Launch { size, launcher, .. }) => bail!(Error::Usage(format!(
                "{launcher} has started {size} processes, and this binary was built without mpi: they cannot train \
                 together\n{BUILD}, or start one process"
            ))),
            None => Ok(()),
        }
    }

    /// [`Error::Usage`] where processes that are not joined may all write `output`: where its name has no rank in it.
    pub fn refuse_common_output(&self, output: &Path) -> anyhow::Result<()> {
        match self.apart {
            Some(Launch { rank, size, launcher, rank_variable }) if !has_number(output, rank) => {
                bail!(Error::Usage(format!(
                    "-o {}: {launcher} has started {size} processes, and this binary was built without mpi: each would write \
                     all of it\ngive each an output with its rank in the name (part-${rank_variable}), or `sample` its \
                     --offset into one directory (-o DIR/); to share the work {BUILD}",
                    output.display()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Whether this number is in a path, among other characters: 3 is in `part-3.npy` and in `out/003/`.
fn has_number(path: &Path, number: usize) -> bool {
    let path = path.to_string_lossy();
    path.split(|character: char| !character.is_ascii_digit()).any(|digits| digits.parse() == Ok(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_a_whole_number_in_a_name() {
        for (path, number, is_there) in [
            ("part-3.npy", 3, true),
            ("out/003/a.png", 3, true),
            ("13.csv", 3, false),
            ("13.csv", 1, false),
            ("a.npy", 0, false),
            ("", 0, false),
            ("99999999999999999999999.npy", 9, false),
        ] {
            assert_eq!(has_number(Path::new(path), number), is_there, "{number} in {path}");
        }
    }

    #[test]
    fn processes_that_are_not_joined_write_to_outputs_of_their_own() {
        let launch = Launch { rank: 1, size: 2, launcher: "srun", rank_variable: "SLURM_PROCID" };
        let apart = Processes { apart: Some(launch), ..Processes::alone() };
        apart.refuse_common_output(Path::new("part-1.npy")).unwrap();
        let refused = apart.refuse_common_output(Path::new("all.npy")).unwrap_err().to_string();
        assert!(refused.starts_with("-o all.npy: srun has started 2 processes"), "{refused}");
        assert!(refused.contains("part-$SLURM_PROCID"), "{refused}");
        assert!(apart.refuse_to_train_apart().is_err());
        Processes::alone().refuse_common_output(Path::new("all.npy")).unwrap();
        Processes::alone().refuse_to_train_apart().unwrap();
    }
}
