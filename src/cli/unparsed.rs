//! The end of a process that has no arguments to run with: they are wrong, or ask for help or the version.

use std::io::{self, Write};
use std::process::ExitCode;

use gan::commands::exit_code::exit_code;
use gan::commands::processes::{Processes, is_follower};
use gan::report::{Console, ConsoleOptions, stdout_failure};

use super::errors;

/// Ends a process that has no arguments to run with. Of several that say the same the first alone prints it.
pub fn end(unparsed: &clap::Error) -> ExitCode {
    let code = unparsed.exit_code() as u8;
    if code == 0 {
        // Help and the version ask for no work: the others are not waited for.
        return if is_follower() { code.into() } else { print(unparsed, None).into() };
    }
    let processes = match Processes::start() {
        Ok(processes) => processes,
        // The others cannot be joined: each process prints for itself.
        Err(_) => return print(unparsed, None).into(),
    };
    let code = processes.fail(code, true, |who| {
        print(unparsed, who);
    });
    code.into()
}

/// Prints what clap says: an error, of the process `who` if it is of that alone, or help or the version. Returns the exit
/// code.
fn print(unparsed: &clap::Error, who: Option<&str>) -> u8 {
    let console = Console::new(ConsoleOptions::default());
    if let Some(text) = errors::text(unparsed) {
        let who = who.map_or(String::new(), |who| format!("{who}: "));
        console.error(&gan::error::printable(&(who + &text)));
        return unparsed.exit_code() as u8;
    }
    // Help and version are data; clap's own exit passes over what cannot be written.
    match unparsed.print().and_then(|()| io::stdout().flush()) {
        Ok(()) => unparsed.exit_code() as u8,
        Err(failure) => {
            let failure = anyhow::Error::from(stdout_failure(failure));
            gan::commands::errors::print(&failure, &console);
            exit_code(&failure)
        }
    }
}
