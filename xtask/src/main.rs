//! Automation of the repository: every command that is not plain cargo.
//!
//! xtask links none of the repository's crates. It runs cargo, Python and the repository's programs, so it
//! compiles in seconds and still works when the code that it checks does not compile.

#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("the engine builds on Linux and macOS; on Windows use WSL");

mod bench;
mod cli;
mod demo;
mod deploy;
mod export;
mod fuzz;
mod hub;
mod instructions;
mod libtorch;
mod lock;
mod package;
mod parity;
mod prerequisites;
mod process;
mod programs;
mod project;
mod schema;
mod servers;
mod setup;
mod supply;
mod test_run;
mod tidy;
mod torch;
mod totals;
mod venv;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::project::{Environment, Project};

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is read here and nowhere else"
)]
fn main() -> ExitCode {
    let project = Project::new(Environment {
        manifest_dir: std::env::var_os("CARGO_MANIFEST_DIR").map(Into::into),
        libtorch: std::env::var_os("LIBTORCH").map(Into::into),
        cxx: std::env::var("CXX").ok(),
        target_dir: std::env::var_os("CARGO_TARGET_DIR").map(Into::into),
        cargo_home: std::env::var_os("CARGO_HOME").map(Into::into),
        model_dir: std::env::var_os("DALSTON_MODEL_DIR").map(Into::into),
        ci: std::env::var_os("CI").is_some_and(|value| value == "true"),
    });
    let outcome = match Cli::parse().command {
        Command::Setup(arguments) => setup::run(&project, &arguments),
        Command::Demo => demo::run(&project),
        Command::Test(arguments) => return test_run::run(&project, &arguments),
        Command::ExportModel(arguments) => export::run(&project, &arguments),
        Command::Parity(arguments) => parity::run(&project, &arguments),
        Command::Verify(arguments) => verify::run(&project, &arguments),
        Command::Bench(arguments) => bench::run(&project, &arguments),
        Command::Instructions(arguments) => instructions::run(&project, &arguments),
        Command::Package(arguments) => package::run(&project, &arguments),
        Command::Schema(arguments) => schema::run(&project, &arguments),
        Command::Fuzz(arguments) => fuzz::run(&project, &arguments),
        Command::Supply(arguments) => supply::run(&project, &arguments),
        Command::Tidy => tidy::run(&project),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
