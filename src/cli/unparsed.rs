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
    let processes = match Processes::start() {
        Ok(processes) => processes,
        // They cannot be joined.
        Err(_) if is_follower() => return code.into(),
        Err(_) => return print(unparsed, None).into(),
    };
    if code != 0 {
        let code = processes.fail(code, true, |who| {
            print(unparsed, who);
        });
        return code.into();
    }
    let printed = if processes.communicator().rank() == 0 { print(unparsed, None) } else { code };
    processes.finish();
    printed.into()
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
