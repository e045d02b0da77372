//! `cargo xtask export-model`, and the tiny model's bundle that demo and tests need.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::cli::ExportArguments;
use crate::process::run as run_command;
use crate::project::Project;
use crate::setup;

/// Where the tiny model lives: its checkpoint is committed, its bundle is made from it.
pub(crate) const TINY: &str = "models/parakeet-rnnt-tiny";

/// The files of the tiny bundle; the manifest last, because its presence says that all are there.
const TINY_BUNDLE: [&str; 3] = ["vocabulary.json", "model.float32.pt", "manifest.json"];

/// Exports what the user names.
///
/// # Errors
///
/// When the checkpoint does not exist, or the exporter refuses it in its own words.
pub(crate) fn run(project: &Project, arguments: &ExportArguments) -> Result<()> {
    let out = std::path::absolute(&arguments.out)?;
    let mut exporter_arguments = match (&arguments.random_init, &arguments.checkpoint) {
        (Some(name), _) => vec!["--random-init".into(), name.into()],
        (None, Some(checkpoint)) => vec![checkpoint_path(checkpoint)?.into_os_string()],
        (None, None) => bail!("name a .nemo checkpoint, or --random-init"),
    };
    exporter_arguments.extend(["--out".into(), out.clone().into_os_string()]);
    exporter_arguments.extend(["--dtype".into(), arguments.dtype.clone().into()]);

    setup::ensure(project)?;
    project.announce("exporting the model");
    run_command(
        setup::EXPORTER
            .python(project)
            .arg("xtask/python/export.py")
            .args(exporter_arguments),
    )?;
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
/// When the exporter fails; the old bundle is then still in place.
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
    // The exporter owns the folder it writes to; this one also holds the checkpoint and its history.
    let exported = folder.join("exported");
    run_command(
        setup::EXPORTER
            .python(project)
            .arg("xtask/python/export.py")
            .args([&checkpoint, Path::new("--out"), &exported]),
    )?;
    for name in TINY_BUNDLE {
        fs::rename(exported.join(name), folder.join(name))
            .with_context(|| format!("the exporter did not write {name}"))?;
    }
    fs::remove_dir_all(&exported).with_context(|| format!("cannot remove {}", exported.display()))
}

/// The checkpoint as an absolute path, since the exporter runs in the root of the checkout.
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

/// When the newest file of a folder and its sub-folders was written; compiled Python aside.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            newest = newest.max(self::newest(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "py") {
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
