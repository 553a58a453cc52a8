//! What clap says about arguments that are wrong, in at most three lines.

use clap::error::ErrorKind;

/// The text of an error; `None` where clap prints help or the version instead.
pub fn text(error: &clap::Error) -> Option<String> {
    let shows_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || shows_help {
        return None;
    }
    let text = error.render().to_string();
    let mut lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("error: ").unwrap_or(line).trim_end())
        .filter(|line| !line.is_empty() && !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .collect();
    if lines.len() == 1 {
        lines.push("  --help lists the flags");
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_short_and_keep_the_tips() {
        let said = |arguments: &[&str]| text(&crate::cli::command().try_get_matches_from(arguments).unwrap_err());
        assert_eq!(
            said(&["gan", "train-gan", "--modle", "dcgan"]).unwrap(),
            "unexpected argument '--modle' found\n  tip: a similar argument exists: '--model'"
        );
        assert_eq!(
            said(&["gan", "sample", "--model", "dcgn"]).unwrap(),
            "invalid value 'dcgn' for '--model <MODEL>'\n  [possible values: vanilla, lsgan, dcgan]\n  \
             tip: a similar value exists: 'dcgan'"
        );
        assert_eq!(
            said(&["gan", "train-gan", "--steps", "x"]).unwrap(),
            "invalid value 'x' for '--steps <N>': expected a whole number, 0 or more\n  --help lists the flags"
        );
        assert_eq!((said(&["gan", "sample", "--help"]), said(&["gan"])), (None, None));
    }
}
