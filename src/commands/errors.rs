//! What the program says of an error: the library's text, with flags where that names fields of configurations, and with
//! what to do about it.

use crate::error::{Error, text_in_words};
use crate::report::Console;

/// Prints an error, unless there is nothing to say of it.
pub fn print(error: &anyhow::Error, console: &Console) {
    match error.downcast_ref::<Error>() {
        Some(Error::ClosedPipe | Error::OtherProcess | Error::Stopped(_)) => {}
        Some(Error::RunStopped { .. }) => console.note(&text(error)),
        _ => console.error(&text(error)),
    }
}

/// The text of an error in the program's words.
pub fn text(error: &anyhow::Error) -> String {
    text_in_words(error, words)
}

fn words(error: &Error) -> String {
    match error {
        Error::Setting { name, value, problem } | Error::TooFewImages { name, value, problem } => {
            let flag = format!("{} {value}", flag(name));
            format!("{}: {problem}", flag.trim_end())
        }
        Error::BrokenPicture { .. } => {
            format!(
                "{error}\nrepair it or take it away; commands that train leave such pictures out with --skip-broken"
            )
        }
        Error::Data { .. } => format!("--data {error}"),
        Error::DataElsewhere { problem, meant } => format!("{problem}: --data {}", meant.display()),
        Error::OtherNetwork { path, found, name, value } => {
            format!("{}: holds a {found}; {} {value} was asked for", path.display(), flag(name))
        }
        Error::NotDownloaded { stand_in, .. } => format!(
            "--data {error}\nPut the set's files there, or name the folder above theirs with --data-dir, or train on the \
             built-in set: --data {stand_in}"
        ),
        Error::DamagedConfig { run, path, has_copy, .. } => {
            let remedy = match has_copy {
                true => format!("move {} away: --resume {run} then reads the copy in its checkpoint", path.display()),
                false => "put it back from a copy".into(),
            };
            format!("{error}\n{remedy}; or begin the run {run} anew with --force, or another with --run OTHER")
        }
        Error::RunExists { run, .. } => {
            format!("{error}: --resume {run} goes on with it, --force starts it anew, --run OTHER names another")
        }
        Error::RunInUse { .. } => format!("{error}: wait for it, or --run OTHER names another"),
        Error::RunNeverSaved { .. } => format!("{error}; --force starts it anew"),
        Error::RunPastEnd { .. } => format!("{error}; raise --steps or --epochs"),
        Error::OtherCommand { run, command } => {
            format!("--resume {error}; go on with `gan {command} --resume {run}`")
        }
        Error::OtherSetting { name, .. } => {
            let text = error.to_string();
            let rest = text.strip_prefix(name.as_str()).unwrap_or(&text);
            format!("{}{rest}; leave the flag out, or begin another run with --run", flag(name))
        }
        Error::NothingToCompare => format!("--changed-data: {error}; it goes with --resume"),
        Error::OtherImages { .. } => {
            format!("--data: {error}\nname the place of those by --data, or go on with these by --changed-data")
        }
        Error::Diverged { .. } => format!("{error}\na lower --lr may help"),
        Error::NotFinite { before: Some(before), .. } => {
            format!("{error}\nthe checkpoint before it goes on with --resume {}", before.display())
        }
        Error::NotFinite { before: None, .. } => {
            format!("{error}\nthere is no checkpoint before it; --force begins anew")
        }
        Error::NoCache { .. } => {
            format!("{error}\nname another directory with --data-cache, or `--data-cache none` to do without")
        }
        Error::NoSpace { .. } => {
            format!("{error}\nfree some, keep fewer with --keep, or name another disk with --weights-dir")
        }
        Error::NotBuiltFor { device, feature } => format!(
            "--device {device}: this binary was built without {feature}\n\
             build it with `cargo build --release --features {feature}`, or use --device auto"
        ),
        Error::NoDevice { .. } => format!("--{error}"),
        Error::RunStopped { run, part, step, .. } => {
            format!("stopped{part} at step {step}; go on with --resume {run}")
        }
        Error::Usage(_)
        | Error::Input(_)
        | Error::NoRun { .. }
        | Error::Storage(_)
        | Error::ClosedPipe
        | Error::OtherProcess
        | Error::Stopped(_) => error.to_string(),
    }
}

/// The flag of a configuration's field.
fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_flags_wherever_they_are_in_the_chain() {
        let error = anyhow::Error::from(Error::setting("batch_size", 1, "expected at least 2")).context("run");
        assert_eq!(text(&error), "run: --batch-size 1: expected at least 2");
        let error = anyhow::anyhow!("inner").context(Error::setting("cached", "", "features are trained"));
        assert_eq!(text(&error), "--cached: features are trained: inner");
    }

    #[test]
    fn a_setting_of_a_run_that_was_not_set_is_not_null() {
        let text_of = |name: &str, value: &str| {
            let (name, value, run) = (name.into(), value.into(), "vanilla".into());
            text(&Error::OtherSetting { name, value, run, saved: None }.into())
        };
        for (name, value, flag) in [("loss", "bce", "--loss bce"), ("mirror", "", "--mirror")] {
            assert_eq!(
                text_of(name, value),
                format!(
                    "{flag}: run vanilla was begun without it\na resumed run keeps its configuration; leave the flag \
                     out, or begin another run with --run"
                )
            );
        }
    }
}
