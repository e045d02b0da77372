//! `cargo xtask package`: the image, tried, and the models as archives.

mod archives;
mod container;
mod docker;
mod local;
mod sizes;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cli::PackageArguments;
use crate::export::{TINY, ensure_tiny_bundle};
use crate::project::Project;
use crate::{setup, supply};

/// Everything that is packaged, and what it is made of.
const FOLDER: &str = "target/package";

/// The image's name.
const IMAGE: &str = "parakeet-worker";

/// What the image must transcribe: a shipped recording, with what is said in it.
const RECORDING: &str = "tests/data/tiny-300/0012.flac";

/// Builds the image, tries it, and writes the archives.
///
/// # Errors
///
/// When there is nothing to build an image with, when a step fails, or when the image does not
/// transcribe.
pub(crate) fn run(project: &Project, arguments: &PackageArguments) -> Result<()> {
    setup::ensure(project)?;
    ensure_tiny_bundle(project)?;
    let folder = project.path(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut bundles = vec![project.path(TINY)];
    bundles.extend(arguments.bundles.iter().map(|bundle| project.path(bundle)));

    if answers("docker", &["info"]) {
        docker::build(project)?;
    } else if answers("buildah", &["--version"]) && answers("mmdebstrap", &["--version"]) {
        local::build(project)?;
    } else {
        bail!(
            "there is nothing to build an image with: start docker, or install buildah and mmdebstrap \
             (`apt install buildah mmdebstrap`)"
        );
    }

    project.announce("writing the models as archives");
    archives::write(&bundles, &folder.join("models"))?;
    supply::write_all(project, &folder, &bundles)?;
    project.announce(&format!("done: the image {IMAGE}, and {FOLDER}"));
    Ok(())
}

/// Whether a program is there and ends well.
fn answers(program: &str, arguments: &[&str]) -> bool {
    let outcome = Command::new(program).args(arguments).output();
    outcome.is_ok_and(|output| output.status.success())
}

/// Shows what the image said of the recording.
///
/// # Errors
///
/// When it heard nothing: the words are another test's business.
fn show(heard: &str) -> Result<()> {
    let heard = heard.trim();
    if heard.is_empty() {
        bail!("the image ran and heard nothing in {RECORDING}");
    }
    println!("\n{RECORDING}, as the image hears it: {heard}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_hears_nothing_is_none() {
        assert!(show("good morning\n").is_ok());
        assert!(show("\n").is_err());
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_does_not_answer() {
        assert!(answers("true", &[]));
        assert!(!answers("false", &[]));
        assert!(!answers("no-such-program", &[]));
    }
}
