//! The exit codes of the program, by the kind of error.

use crate::error::Error;

/// The exit code of an error: that of the outermost [`Error`] among its causes and contexts, else 1.
///
/// 0 stdout was closed, 2 usage (clap's own errors too), 3 input, 4 diverged, 5 storage, 128 + N stopped by signal N.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    // anyhow's own downcast sees contexts, which a walk along the chain of sources does not.
    match error.downcast_ref::<Error>() {
        None => 1,
        Some(Error::ClosedPipe) => 0,
        Some(Error::Usage(_)) => 2,
        Some(Error::Input(_)) => 3,
        Some(Error::Diverged(_)) => 4,
        Some(Error::Storage(_)) => 5,
        Some(Error::Stopped(signal)) => 128 + *signal as u8,
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
