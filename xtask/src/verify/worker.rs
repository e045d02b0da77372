//! Calls the worker's program as a user would.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::recordings::Recording;
use super::transcript::Transcript;
use crate::process::{capture, run};
use crate::project::Project;

/// A parakeet-worker program that finds the bundles of this project.
pub(super) struct Worker<'a> {
    project: &'a Project,
    program: PathBuf,
}

impl<'a> Worker<'a> {
    /// Takes the given program, or builds one.
    ///
    /// # Errors
    ///
    /// When the given program does not exist, or cargo fails.
    pub(super) fn new(project: &'a Project, program: Option<&Path>) -> Result<Self> {
        if let Some(program) = program {
            let program = std::path::absolute(program)?;
            ensure!(program.is_file(), "there is no {}", program.display());
            return Ok(Self { project, program });
        }
        project.announce("building parakeet-worker");
        run(&mut project.cargo("build --release --package parakeet-worker"))?;
        Ok(Self {
            project,
            program: project.built("release/parakeet-worker"),
        })
    }

    /// The transcripts on a device (`auto`, `cpu` or `cuda`), in the order of the recordings.
    ///
    /// # Errors
    ///
    /// When a recording fails; the worker has printed why.
    pub(super) fn transcripts(
        &self,
        device: &str,
        model: &str,
        recordings: &[Recording],
    ) -> Result<Vec<Transcript>> {
        let lines = capture(&mut self.command(device, model, recordings))?;
        let transcripts: Vec<_> = lines
            .lines()
            .map(Transcript::parse)
            .collect::<Result<_>>()?;
        ensure!(
            transcripts.len() == recordings.len(),
            "{} outputs for {} recordings",
            transcripts.len(),
            recordings.len()
        );
        Ok(transcripts)
    }

    /// The last line of the worker's output on a machine without a GPU, when the device is `cuda`.
    ///
    /// # Errors
    ///
    /// When the worker does not end with an error that names the device.
    pub(super) fn complaint_without_gpu(
        &self,
        model: &str,
        recordings: &[Recording],
    ) -> Result<String> {
        let mut command = self.command("cuda", model, recordings);
        let output = command.env("CUDA_VISIBLE_DEVICES", "").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        ensure!(
            !output.status.success() && last.to_lowercase().contains("cuda"),
            "it ended with {} and said: {last}",
            output.status
        );
        Ok(last.to_owned())
    }

    fn command(&self, device: &str, model: &str, recordings: &[Recording]) -> Command {
        let mut command = self.project.command(&self.program);
        command.args(["transcribe", "--format", "json", "--device", device]);
        command.arg("--model").arg(self.project.bundle(model));
        command.args(recordings.iter().map(|recording| &recording.path));
        command
    }
}

/// The name of the first GPU, from its driver.
pub(super) fn gpu() -> Option<String> {
    let query = ["--query-gpu=name,driver_version", "--format=csv,noheader"];
    let output = Command::new("nvidia-smi").args(query).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let first = names.lines().next()?.trim();
    (output.status.success() && !first.is_empty()).then(|| first.to_owned())
}
