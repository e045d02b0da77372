//! Builds the image with docker, from the unchanged Dockerfile.

use std::process::Command;

use anyhow::Result;

use super::{IMAGE, RECORDING, show};
use crate::process::{capture, run as run_command};
use crate::project::Project;

/// Builds the image with only the tiny model, prints the layers, and transcribes a recording in the image.
pub(super) fn build(project: &Project) -> Result<()> {
    project.announce("building the image with docker");
    let mut build = docker(project);
    build.args(["build", "--tag", IMAGE]);
    build.args(["--build-arg", "DEFAULT_MODEL=parakeet-rnnt-tiny"]);
    run_command(build.arg("."))?;
    run_command(docker(project).args(["history", IMAGE]))?;

    project.announce("transcribing in the image: another user, root read-only, no network");
    let recordings = project.path("tests/data/tiny-300");
    let mut transcribe = docker(project);
    transcribe.args([
        "run",
        "--rm",
        "--read-only",
        "--network",
        "none",
        "--cap-drop",
        "ALL",
    ]);
    transcribe
        .arg("--volume")
        .arg(format!("{}:/audio:ro", recordings.display()));
    let name = RECORDING.rsplit('/').next().unwrap_or(RECORDING);
    transcribe.args([IMAGE, "transcribe", &format!("/audio/{name}")]);
    show(&capture(&mut transcribe)?)
}

/// `docker` with BuildKit, which the Dockerfile needs. An environment may turn BuildKit off, and releases before
/// 23 do not use it by default.
pub(super) fn docker(project: &Project) -> Command {
    let mut command = project.command("docker");
    command.env("DOCKER_BUILDKIT", "1");
    command
}
