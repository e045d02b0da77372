//! `cargo xtask parity`: the engine compared with NeMo itself.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cli::ParityArguments;
use crate::export::{TINY, ensure_tiny_bundle};
use crate::process::{capture, run as run_command};
use crate::project::Project;
use crate::setup;
use crate::venv::Venv;

/// The oracle, kept apart from `.venv`: exporting needs none of it.
const NEMO: Venv = Venv {
    folder: ".venv-nemo",
    packages: &["torch==2.11.0", "nemo_toolkit[asr]==2.7.3"],
    download: "NeMo 2.7.3 with PyTorch, about 4 GB to download",
    needed_gb: 15,
};

/// Runs our binary over the recordings, then hands its tokens to the comparison in Python.
///
/// # Errors
///
/// When a figure lies outside its bound; the comparison's own words are above.
pub(crate) fn run(project: &Project, arguments: &ParityArguments) -> Result<()> {
    setup::ensure(project)?;
    NEMO.ensure(project)?;
    ensure_tiny_bundle(project)?;

    let mut recordings = files_in(project, "tests/data/tiny-300", "flac")?;
    recordings.extend(files_in(project, "tests/data/speech", "wav")?);
    project.announce(&format!(
        "transcribing {} recordings with parakeet-worker",
        recordings.len()
    ));
    run_command(&mut project.cargo(["build", "--package", "parakeet-worker"]))?;
    let ours = capture(
        project
            .cargo([
                "run",
                "--quiet",
                "--package",
                "parakeet-worker",
                "--",
                "transcribe",
            ])
            .args([
                "--model",
                TINY,
                "--format",
                "json",
                "--tokens",
                "--chunk-seconds",
                "60",
            ])
            .args(&recordings),
    )?;
    let tokens = "target/parity/tokens.jsonl";
    fs::create_dir_all(project.path("target/parity"))?;
    fs::write(project.path(tokens), ours).with_context(|| format!("cannot write {tokens}"))?;

    project.announce("comparing with NeMo");
    let mut comparison = NEMO.python(project);
    comparison.arg("xtask/python/parity.py").args(&recordings);
    for (wanted, flag) in [
        (arguments.full, "--full"),
        (arguments.write_goldens, "--write-goldens"),
    ] {
        if wanted {
            comparison.arg(flag);
        }
    }
    run_command(&mut comparison)
}

/// The files of a folder with this extension, sorted, relative to the root.
fn files_in(project: &Project, folder: &str, extension: &str) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(project.path(folder)).with_context(|| format!("cannot read {folder}"))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().display().to_string();
        if name.ends_with(&format!(".{extension}")) {
            files.push(format!("{folder}/{name}"));
        }
    }
    files.sort();
    Ok(files)
}
