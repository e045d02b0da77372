//! `cargo xtask bench`: times this engine and its peers on the same recordings.

use anyhow::Result;

use crate::cli::BenchArguments;
use crate::parity::NEMO;
use crate::prerequisites;
use crate::process::run as run_command;
use crate::project::Project;
use crate::setup;
use crate::venv::Venv;

/// The peer that runs NeMo's ONNX export. The package `onnx` quantises that export.
const ONNX: Venv = Venv {
    folder: ".venv-onnx",
    packages: &[
        "onnx-asr==0.12.0",
        "onnxruntime==1.32.0",
        "onnx==1.23.2",
        "soundfile==0.14.0",
    ],
    contents: "onnx-asr with ONNX Runtime",
    download_mb: Some(60),
    needed_gb: 1,
};

/// The folder with the random model, its exports and the recordings.
const WORK: &str = "target/bench";

/// Builds the program that stands for this engine, and starts the comparison in Python, which runs all peers.
///
/// # Errors
///
/// When a peer fails; the comparison has printed why.
pub(crate) fn run(project: &Project, arguments: &BenchArguments) -> Result<()> {
    setup::ensure(project)?;
    NEMO.ensure(project)?;
    ONNX.ensure(project)?;
    if !project.path(WORK).join("bundle").exists() {
        prerequisites::disk_space(&project.path(""), 15)?;
    }
    project.announce("building the contestant");
    run_command(&mut project.cargo("build --release --package benches --bin contestant"))?;

    project.announce("timing, each in turn");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut comparison = NEMO.python(project);
    comparison.arg("benches/compare.py");
    comparison
        .arg("--contestant")
        .arg(project.built("release/contestant"));
    comparison.args(["--nemo", &format!("{}/bin/python", NEMO.folder)]);
    comparison.args(["--onnx", &format!("{}/bin/python", ONNX.folder)]);
    comparison.args(["--work", WORK]);
    comparison.args(["--threads", &threads.to_string()]);
    comparison.args(&arguments.more);
    run_command(&mut comparison)
}
