//! `cargo xtask parity`: compares the engine with NeMo.

use anyhow::Result;

use crate::cli::ParityArguments;
use crate::export::ensure_tiny_bundle;
use crate::process::run as run_command;
use crate::project::Project;
use crate::setup;
use crate::venv::Venv;

/// NeMo's environment, apart from `.venv` because exporting does not need NeMo.
pub(crate) const NEMO: Venv = Venv {
    folder: ".venv-nemo",
    packages: &["torch==2.11.0", "nemo_toolkit[asr]==2.7.3"],
    contents: "NeMo 2.7.3 with PyTorch",
    download_mb: Some(4000),
    needed_gb: 15,
};

/// The folder for random models, their bundles and their audio.
const WORK: &str = "target/parity";

/// Builds the worker and starts the comparison in Python, which runs the worker.
///
/// # Errors
///
/// When a figure exceeds its limit; the comparison has printed which one.
pub(crate) fn run(project: &Project, arguments: &ParityArguments) -> Result<()> {
    setup::ensure(project)?;
    NEMO.ensure(project)?;
    ensure_tiny_bundle(project)?;
    project.announce("building parakeet-worker");
    run_command(&mut project.cargo("build --package parakeet-worker"))?;

    project.announce("comparing with NeMo");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut comparison = NEMO.python(project);
    comparison.args(["-W", "ignore", "-m", "parity.compare"]);
    comparison
        .arg("--worker")
        .arg(project.built("debug/parakeet-worker"));
    comparison.args(["--work", WORK]);
    comparison.args(["--threads", &threads.to_string()]);
    if arguments.full {
        comparison.arg("--full");
    }
    if arguments.write_goldens {
        comparison.arg("--write-goldens");
    }
    if let Some(models) = &arguments.models {
        comparison.args(["--models", models]);
    }
    run_command(&mut comparison)
}
