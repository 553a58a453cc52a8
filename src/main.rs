//! The `gan` program: parse, run, print the error once, leave with its exit code.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use gan::commands::errors;
use gan::commands::exit_code::exit_code;
use gan::commands::processes::Processes;
use gan::error::Error;
use gan::report::Console;

/// candle allocates and frees every activation of every step: an allocator that keeps freed blocks saves half the time
/// of a small network, which otherwise goes into page faults.
#[global_allocator]
static ALLOCATOR: gan::startup::Allocator = gan::startup::Allocator;

fn main() -> ExitCode {
    gan::startup::prepare();
    gan::data::silence_decoder_panics();
    let (arguments, matches) = match cli::Cli::parse_arguments() {
        Ok(parsed) => parsed,
        Err(unparsed) => return cli::end(&unparsed),
    };
    let console = arguments.console();
    let processes = match Processes::start() {
        Ok(processes) => processes,
        Err(error) => {
            errors::print(&error, &console);
            return ExitCode::from(exit_code(&error));
        }
    };
    let is_first = processes.communicator().rank() == 0;
    let shown = if is_first { console.clone() } else { Console::silent() };
    match arguments.run(&matches, &shown, &processes) {
        Ok(()) => {
            processes.finish();
            ExitCode::SUCCESS
        }
        Err(error) => {
            let knows_why = !matches!(error.downcast_ref(), Some(Error::OtherProcess));
            let code = processes.fail(exit_code(&error), knows_why, |who| match who {
                Some(who) => errors::print(&error.context(who.to_owned()), &console),
                None => errors::print(&error, &console),
            });
            ExitCode::from(code)
        }
    }
}
