//! The `gan` program: parse, run, print the error once, leave with its exit code.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use gan::commands::errors;
use gan::commands::exit_code::exit_code;

/// candle allocates and frees every activation of every step: an allocator that keeps freed blocks saves half the time
/// of a small network, which otherwise goes into page faults.
#[global_allocator]
static ALLOCATOR: gan::startup::Allocator = gan::startup::Allocator;

fn main() -> ExitCode {
    gan::startup::prepare();
    gan::data::silence_decoder_panics();
    let (arguments, matches) = cli::Cli::parse_arguments();
    let console = arguments.console();
    match arguments.run(&matches, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            errors::print(&error, &console);
            ExitCode::from(exit_code(&error))
        }
    }
}
