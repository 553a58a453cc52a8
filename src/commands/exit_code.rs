//! The exit codes of the program, by the kind of error.

use crate::error::Error;

/// The exit code of an error: that of the outermost [`Error`] among its causes and contexts, else 1.
///
/// 0 stdout was closed, 2 usage (clap's own errors too), 3 input, 4 diverged, 5 storage, 128 + N stopped by signal N.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    // anyhow's own downcast sees contexts, which a walk along the chain of sources does not.
    let Some(error) = error.downcast_ref::<Error>() else { return 1 };
    match error {
        // The code is that of the process which knows why.
        Error::ClosedPipe | Error::OtherProcess => 0,
        Error::NotBuiltFor { .. } | Error::NoDevice { .. } => 1,
        Error::Usage(_)
        | Error::Setting { .. }
        | Error::RunExists { .. }
        | Error::RunInUse { .. }
        | Error::RunPastEnd { .. }
        | Error::OtherSetting { .. }
        | Error::NothingToCompare => 2,
        Error::Input(_)
        | Error::BrokenPicture { .. }
        | Error::TooFewImages { .. }
        | Error::Data { .. }
        | Error::DataElsewhere { .. }
        | Error::OtherNetwork { .. }
        | Error::NotDownloaded { .. }
        | Error::NoRun { .. }
        | Error::DamagedConfig { .. }
        | Error::RunNeverSaved { .. }
        | Error::OtherCommand { .. }
        | Error::OtherImages { .. } => 3,
        Error::Diverged { .. } | Error::NotFinite { .. } => 4,
        Error::Storage(_) | Error::NoCache { .. } | Error::NoSpace { .. } => 5,
        Error::Stopped(signal) | Error::RunStopped { signal, .. } => 128 + *signal as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_from_anywhere_in_the_chain() {
        let error = anyhow::anyhow!("inner").context(Error::Input("it does not fit".into())).context("file");
        assert_eq!(exit_code(&error), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
        assert_eq!(exit_code(&Error::Stopped(15).into()), 143);
    }
}
