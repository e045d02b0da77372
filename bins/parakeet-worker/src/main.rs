//! The program: reads environment and command line, runs the command, and returns its exit code.

#![forbid(unsafe_code)]

use std::env;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use parakeet_worker::cli::{Cli, Command};
use parakeet_worker::printable::printable;
use parakeet_worker::transcribe::{self, Environment, Outcome, UsageError};
use parakeet_worker::{engine_manifest, health, process, run};

#[allow(
    clippy::disallowed_methods,
    reason = "the environment is read here; the tests' own copy of this program has no such rule"
)]
fn main() -> ExitCode {
    // A compose file writes a variable that is not set as an empty one, so empty means not set.
    let environment = Environment {
        model_dir: env::var_os("DALSTON_MODEL_DIR")
            .filter(|it| !it.is_empty())
            .map(Into::into),
        default_model: env::var("DALSTON_DEFAULT_MODEL")
            .ok()
            .filter(|it| !it.is_empty()),
        stdout_is_open: process::stdout_was_open(),
    };
    let outcome = match Cli::parse().command {
        Command::Transcribe(args) => transcribe::run(&args, environment),
        Command::Run => run::run().map(|()| Outcome::Complete),
        Command::Health => health::run().map(|()| Outcome::Complete),
        Command::Schema => engine_manifest::print_schemas().map(|()| Outcome::Complete),
    };
    match outcome {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(1),
        // The code by which shells report SIGPIPE, the usual end of a program whose reader is gone.
        Ok(Outcome::ReaderGone) => ExitCode::from(141),
        Err(why) => {
            // Not `eprintln!`, which panics if standard error is closed.
            let line = format!("error: {why:#}");
            let _ = writeln!(std::io::stderr(), "{}", printable(&line));
            ExitCode::from(if why.is::<UsageError>() { 2 } else { 1 })
        }
    }
}
