//! `cargo xtask export-model`, and the tiny model's bundle that demo and tests need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::cli::ExportArguments;
use crate::process::run as run_command;
use crate::project::Project;
use crate::setup;

/// Where the tiny model lives: its checkpoint is committed, its bundle is made from it.
pub(crate) const TINY: &str = "models/parakeet-rnnt-tiny";

/// What the exporter writes for it, the manifest last.
const TINY_BUNDLE: [&str; 3] = ["vocabulary.json", "model.float32.pt", "manifest.json"];

/// Exports what the user names.
///
/// # Errors
///
/// When the checkpoint does not exist, or the exporter refuses it in its own words.
pub(crate) fn run(project: &Project, arguments: &ExportArguments) -> Result<()> {
    let mut exporter = exporter(project);
    match (&arguments.checkpoint, &arguments.random_init) {
        (Some(checkpoint), _) => exporter.arg(checkpoint_path(checkpoint)?),
        (None, Some(name)) => exporter.args(["--random-init", name]),
        (None, None) => bail!("name a .nemo checkpoint, or a size with --random-init"),
    };
    // The exporter runs in the root of the checkout, the user perhaps elsewhere.
    exporter
        .arg("--out")
        .arg(std::path::absolute(&arguments.out)?);
    exporter.args(["--dtype", &arguments.dtype]);
    if let Some(model_id) = &arguments.model_id {
        exporter.args(["--model-id", model_id]);
    }
    exporter.args(&arguments.more);

    setup::ensure(project)?;
    project.announce("exporting the model");
    run_command(&mut exporter)?;
    project.announce(&format!(
        "done; try it: cargo run --release -p parakeet-worker -- transcribe --model {} FILE...",
        arguments.out.display()
    ));
    Ok(())
}

/// Exports the tiny model unless its bundle is there and newer than the checkpoint and the exporter.
///
/// # Errors
///
/// When the checkpoint or the exporter is not there, or the exporter fails.
pub(crate) fn ensure_tiny_bundle(project: &Project) -> Result<()> {
    let folder = project.path(TINY);
    let checkpoint = folder.join("parakeet-rnnt-tiny.nemo");
    let sources = newest(&project.path("xtask/python"))?.max(modified(&checkpoint)?);
    if TINY_BUNDLE
        .iter()
        .all(|name| modified(&folder.join(name)).is_ok_and(|made| made > sources))
    {
        return Ok(());
    }
    project.announce("exporting the tiny model");
    run_command(exporter(project).arg(&checkpoint).arg("--out").arg(&folder))
}

/// The exporter, ready for its arguments.
fn exporter(project: &Project) -> Command {
    let mut python = setup::EXPORTER.python(project);
    python.arg("xtask/python/export.py");
    python
}

/// The checkpoint as an absolute path.
fn checkpoint_path(checkpoint: &str) -> Result<PathBuf> {
    let path = std::path::absolute(checkpoint)?;
    if path.is_file() {
        return Ok(path);
    }
    if is_hub_id(checkpoint) {
        bail!(
            "there is no file {checkpoint}; if you mean the model of that name on the hub, download \
             its .nemo file yourself for now and give its path: this command does not fetch"
        );
    }
    bail!("there is no checkpoint {}", path.display())
}

/// `owner/name` and nothing that only a path has.
fn is_hub_id(name: &str) -> bool {
    name.split('/').count() == 2 && !name.starts_with(['/', '.', '~']) && !name.ends_with(".nemo")
}

/// When the newest Python file of a folder was written.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            newest = newest.max(modified(&path)?);
        }
    }
    Ok(newest)
}

fn modified(path: &Path) -> Result<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_id_is_owner_and_name() {
        assert!(is_hub_id("nvidia/parakeet-rnnt-0.6b"));
        assert!(!is_hub_id("models/tiny.nemo"));
        assert!(!is_hub_id("./nvidia/parakeet"));
        assert!(!is_hub_id("/nvidia/parakeet"));
        assert!(!is_hub_id("parakeet"));
    }

    #[test]
    fn a_hub_id_gets_an_answer_that_says_what_to_do() {
        let error = checkpoint_path("nvidia/parakeet-rnnt-0.6b")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("download its .nemo file yourself"),
            "{error}"
        );
    }

    #[test]
    fn an_absent_checkpoint_is_named() {
        let error = checkpoint_path("no/such/file.nemo")
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("no/such/file.nemo"), "{error}");
    }
}
