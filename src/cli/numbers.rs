//! Numbers among the arguments: a negative one reaches its flag, and a wrong one is told what was expected.

use std::any::TypeId;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Arg, Command};

/// Gives every flag of `command` and of its subcommands that takes a number a parser of this module. By type, so that a
/// new flag needs nothing more.
pub fn with_number_parsers(command: Command) -> Command {
    command.mut_args(with_number_parser).mut_subcommands(with_number_parsers)
}

fn with_number_parser(flag: Arg) -> Arg {
    let kind = flag.get_value_parser().type_id();
    let is = |other: TypeId| kind == other;
    // clap takes `-1` and `-.5` for flags of their own, unless a flag says that its value may look like that.
    let number = |flag: Arg| flag.allow_hyphen_values(true);
    if is(TypeId::of::<u64>()) {
        number(flag).value_parser(whole::<u64>)
    } else if is(TypeId::of::<usize>()) {
        number(flag).value_parser(whole::<usize>)
    } else if is(TypeId::of::<f64>()) {
        number(flag).value_parser(real::<f64>)
    } else if is(TypeId::of::<f32>()) {
        number(flag).value_parser(real::<f32>)
    } else if flag.is_positional() || is(TypeId::of::<String>()) || is(TypeId::of::<PathBuf>()) {
        flag
    } else if flag.get_action().takes_values() && flag.get_possible_values().is_empty() {
        number(flag) // of a type with a parser of its own: parts, ranges
    } else {
        flag
    }
}

/// `--threads`.
pub fn threads(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|count| (1..=1024).contains(count)).ok_or_else(|| "expected 1 to 1024".into())
}

fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match (is_number, text.starts_with('-')) {
            (true, true) => "must be 0 or more".into(),
            (true, false) => format!("must be below 2^{}", 8 * size_of::<T>()),
            (false, _) => "expected a whole number, 0 or more".into(),
        }
    })
}

/// Which of them are meant, each command says itself.
fn real<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a number".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_expected() {
        for (text, error) in [
            ("-1", "must be 0 or more"),
            ("18446744073709551616", "must be below 2^64"),
            ("1.5", "expected a whole number, 0 or more"),
            ("-", "expected a whole number, 0 or more"),
            ("", "expected a whole number, 0 or more"),
            ("--offset", "expected a whole number, 0 or more"),
        ] {
            assert_eq!(whole::<u64>(text).unwrap_err(), error, "{text:?}");
        }
        assert_eq!(whole::<usize>("64"), Ok(64));
        assert_eq!(real::<f64>("-.5"), Ok(-0.5));
        assert!(real::<f64>("fast").is_err());
        assert!(threads("0").is_err() && threads("1025").is_err() && threads("7") == Ok(7));
    }
}
