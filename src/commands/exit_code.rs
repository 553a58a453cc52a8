//! The exit codes of the program, by the kind of error.

use crate::error::Failure;

/// The exit code of an error: that of the outermost [`Failure`] among its causes and contexts, else 1.
///
/// 0 stdout was closed, 2 usage (clap's own errors too), 3 input, 4 diverged, 5 storage, 128 + N stopped by signal N.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    // anyhow's own downcast sees contexts, which a walk along the chain of sources does not.
    match error.downcast_ref::<Failure>() {
        None => 1,
        Some(Failure::ClosedPipe) => 0,
        Some(Failure::Usage(_)) => 2,
        Some(Failure::Input(_)) => 3,
        Some(Failure::Diverged(_)) => 4,
        Some(Failure::Storage(_)) => 5,
        Some(Failure::Stopped(signal)) => 128 + *signal as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_from_anywhere_in_the_chain() {
        let error = anyhow::anyhow!("inner").context(Failure::Input("it does not fit".into())).context("file");
        assert_eq!(exit_code(&error), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
        assert_eq!(exit_code(&Failure::Stopped(15).into()), 143);
    }
}
