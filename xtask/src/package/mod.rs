//! `cargo xtask package`: builds the image, transcribes with it, and writes the models as tar files.

mod archives;
mod cache;
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

/// The folder for the packages and for everything that is built on the way.
const FOLDER: &str = "target/package";

/// The image's name.
const IMAGE: &str = "parakeet-worker";

/// The shipped recording that the image must transcribe.
const RECORDING: &str = "tests/data/tiny-300/0012.flac";

/// Builds the image, transcribes a recording in the image, and writes the tar files.
///
/// # Errors
///
/// When neither docker nor buildah is there, when a step fails, or when the image does not transcribe.
pub(crate) fn run(project: &Project, arguments: &PackageArguments) -> Result<()> {
    setup::ensure(project)?;
    ensure_tiny_bundle(project)?;
    let folder = project.path(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut bundles = vec![project.path(TINY)];
    bundles.extend(arguments.bundles.iter().map(|bundle| project.path(bundle)));

    if answers("docker", &["info"]) {
        cache::check(project)?;
        docker::build(project)?;
    } else if answers("buildah", &["--version"]) && answers("mmdebstrap", &["--version"]) {
        project.announce("without docker: the cache of docker's builder is not checked");
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

/// Whether a program can be started and ends with success.
fn answers(program: &str, arguments: &[&str]) -> bool {
    let outcome = Command::new(program).args(arguments).output();
    outcome.is_ok_and(|output| output.status.success())
}

/// Prints the transcript that the image gave.
///
/// # Errors
///
/// When the transcript is empty. Other tests check the words.
fn show(text: &str) -> Result<()> {
    let text = text.trim();
    if text.is_empty() {
        bail!("the image ran and transcribed nothing in {RECORDING}");
    }
    println!("\n{RECORDING}, as the image transcribes it: {text}\n");
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
