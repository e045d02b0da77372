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

/// Every how manieth sentence a quick run takes: not a multiple of 8, so that all voices come up.
const SAMPLE_STEP: usize = 7;

/// Runs our binary over the recordings, then hands its tokens to the comparison in Python.
///
/// A full run takes the whole test set and holds the recorded goldens to NeMo's word, too.
///
/// # Errors
///
/// When a figure lies outside its bound; the comparison's own words are above.
pub(crate) fn run(project: &Project, arguments: &ParityArguments) -> Result<()> {
    setup::ensure(project)?;
    NEMO.ensure(project)?;
    ensure_tiny_bundle(project)?;

    let full = arguments.full || arguments.write_goldens;
    let sentences = files_in(project, "tests/data/tiny-300", ".flac")?;
    let step = if full { 1 } else { SAMPLE_STEP };
    let mut recordings: Vec<_> = sentences.into_iter().step_by(step).collect();
    recordings.extend(files_in(project, "tests/data/speech", ".wav")?);

    project.announce("building parakeet-worker");
    run_command(&mut project.cargo("build --package parakeet-worker"))?;
    project.announce(&format!("transcribing {} recordings", recordings.len()));
    let ours = capture(
        project
            .cargo("run --quiet --package parakeet-worker -- transcribe")
            .args("--format json --tokens --chunk-seconds 60".split(' '))
            .args(["--model", TINY])
            .args(&recordings),
    )?;
    let transcript = project.path(".venv-nemo/transcript.jsonl");
    fs::write(&transcript, ours)
        .with_context(|| format!("cannot write {}", transcript.display()))?;

    project.announce("comparing with NeMo");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut comparison = NEMO.python(project);
    comparison.arg("xtask/python/parity.py").args(&recordings);
    comparison.args([
        "--checkpoint",
        &format!("{TINY}/parakeet-rnnt-tiny.nemo"),
        "--bundle",
        TINY,
    ]);
    comparison
        .arg("--transcript")
        .arg(transcript)
        .args(["--threads", &threads.to_string()]);
    if full {
        comparison.args(["--goldens", "tests/data/goldens"]);
    }
    if arguments.write_goldens {
        comparison.arg("--write-goldens");
    }
    run_command(&mut comparison)
}

/// The files of a folder whose names end like this, sorted, relative to the root.
fn files_in(project: &Project, folder: &str, ending: &str) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(project.path(folder)).with_context(|| format!("cannot read {folder}"))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().display().to_string();
        if name.ends_with(ending) {
            files.push(format!("{folder}/{name}"));
        }
    }
    files.sort();
    Ok(files)
}
