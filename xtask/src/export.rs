//! `cargo xtask export-model`, and the tiny model's bundle that demo and tests need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::ExportArguments;
use crate::lock::Lock;
use crate::process::run as run_command;
use crate::project::Project;
use crate::{hub, setup};

/// The folder of the tiny model. Git has the checkpoint; the bundle is made from the checkpoint.
pub(crate) const TINY: &str = "models/parakeet-rnnt-tiny";

/// The files that the exporter writes for the tiny model. It writes the manifest last.
const TINY_BUNDLE: [&str; 3] = ["vocabulary.json", "model.float32.pt", "manifest.json"];

/// Exports the checkpoint or the model that the user names. A model of the hub is fetched first.
///
/// # Errors
///
/// When the checkpoint does not exist or cannot be fetched, when no folder for the bundle is known, or when
/// the exporter refuses the checkpoint; the exporter has printed why.
pub(crate) fn run(project: &Project, arguments: &ExportArguments) -> Result<()> {
    let source = Source::named_by(arguments)?;
    let model_id = source.model_id(arguments.model_id.as_deref());
    // The path is relative to the user's folder, but the exporter runs in the root of the checkout.
    let out = match (&arguments.out, model_id) {
        (Some(out), _) => std::path::absolute(out)?,
        (None, Some(id)) => project.bundle(id),
        (None, None) => bail!("say with --out where the bundle goes, or with --model-id its name"),
    };

    setup::ensure(project)?;
    let mut exporter = exporter(project, &out, &arguments.dtype);
    match &source {
        Source::File(path) => exporter.arg(path),
        Source::Hub(repository) => exporter.arg(hub::fetch(project, repository)?),
        Source::Random(size) => exporter.args(["--random-init", size]),
    };
    if let Some(model_id) = model_id {
        exporter.args(["--model-id", model_id]);
    }
    project.announce("exporting the model");
    run_command(exporter.args(&arguments.more))?;
    project.announce(&format!(
        "done; try it: cargo run --release -p parakeet-worker -- transcribe --model {} FILE...",
        out.display()
    ));
    Ok(())
}

/// Exports the tiny model unless its bundle exists and is newer than the checkpoint and the exporter.
///
/// # Errors
///
/// When the checkpoint or the exporter is missing, or the exporter fails.
pub(crate) fn ensure_tiny_bundle(project: &Project) -> Result<()> {
    let folder = project.path(TINY);
    let checkpoint = folder.join("parakeet-rnnt-tiny.nemo");
    let sources = newest(&project.path("xtask/python/exporter"))?.max(modified(&checkpoint)?);
    let is_current = || {
        TINY_BUNDLE
            .iter()
            .all(|name| modified(&folder.join(name)).is_ok_and(|made| made > sources))
    };
    if is_current() {
        return Ok(());
    }
    let _lock = Lock::acquire(project, TINY)?;
    // The command that held the lock may have exported it.
    if is_current() {
        return Ok(());
    }
    project.announce("exporting the tiny model");
    bundle(
        project,
        &checkpoint,
        "parakeet-rnnt-tiny",
        &folder,
        "float32",
    )
}

/// Writes the bundle of a checkpoint. The exporter prints its progress to standard error.
///
/// `dtype` is a list of compute types, separated by commas.
///
/// # Errors
///
/// When the exporter refuses the checkpoint; the exporter has printed why.
pub(crate) fn bundle(
    project: &Project,
    checkpoint: &Path,
    model_id: &str,
    out: &Path,
    dtype: &str,
) -> Result<()> {
    let mut exporter = exporter(project, out, dtype);
    run_command(exporter.arg(checkpoint).args(["--model-id", model_id]))
}

/// The command line of the exporter, without a source and options.
fn exporter(project: &Project, out: &Path, dtype: &str) -> Command {
    let mut python = setup::EXPORTER.python(project);
    python.args(["-m", "exporter.export", "--out"]).arg(out);
    python.args(["--dtype", dtype]);
    python
}

/// The source of the weights.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// The absolute path of a checkpoint.
    File(PathBuf),
    /// A repository of the hub.
    Hub(String),
    /// Random weights of a named size.
    Random(String),
}

impl Source {
    /// The name of an existing file means that file, even if a model has the same name.
    fn named_by(arguments: &ExportArguments) -> Result<Self> {
        let Some(checkpoint) = &arguments.checkpoint else {
            let size = arguments.random_init.clone();
            return Ok(Self::Random(size.context("name a checkpoint or a size")?));
        };
        let path = std::path::absolute(checkpoint)?;
        if path.is_file() {
            return Ok(Self::File(path));
        }
        ensure!(
            !checkpoint.ends_with(".nemo"),
            "there is no checkpoint {}",
            path.display()
        );
        hub::repository(checkpoint).map(Self::Hub)
    }

    /// The id of the bundle, if it is known: the user's choice, the id on the hub, or the id of the published
    /// model whose file has this name. Every spelling of a model gives one id, because worker and exporter use
    /// the id to find the folder of the bundle and the languages of the model.
    fn model_id<'a>(&'a self, said: Option<&'a str>) -> Option<&'a str> {
        let of_source = || match self {
            Self::Hub(repository) => Some(repository.as_str()),
            Self::File(path) => path.file_stem()?.to_str().and_then(hub::published),
            Self::Random(_) => None,
        };
        let id = said.or_else(of_source)?;
        Some(hub::published(id).unwrap_or(id))
    }
}

/// The time at which the newest Python file of a folder was written.
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
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn source(line: &str) -> Result<Source> {
        let line = format!("xtask export-model --out b {line}");
        match Cli::parse_from(line.split_whitespace()).command {
            Command::ExportModel(arguments) => Source::named_by(&arguments),
            _ => unreachable!("the line names the command"),
        }
    }

    #[test]
    fn a_file_that_exists_comes_before_a_model_of_its_name() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(source(here).unwrap(), Source::File(here.into()));
        assert_eq!(
            source("someone/parrot").unwrap(),
            Source::Hub("someone/parrot".into())
        );
    }

    #[test]
    fn short_names_are_made_whole() {
        assert_eq!(
            source("parakeet-1.1b").unwrap(),
            Source::Hub("nvidia/parakeet-rnnt-1.1b".into())
        );
    }

    #[test]
    fn an_absent_checkpoint_is_named() {
        let error = source("no/such.nemo").unwrap_err().to_string();
        assert!(error.ends_with("no/such.nemo"), "{error}");
    }

    #[test]
    fn a_published_model_has_one_id() {
        let file = |name: &str| Source::File(name.into());
        let id = |source: &Source, said| source.model_id(said).map(str::to_owned);
        let v3 = Some("nvidia/parakeet-tdt-0.6b-v3".to_owned());
        assert_eq!(id(&file("/a/parakeet-tdt-0.6b-v3.nemo"), None), v3);
        assert_eq!(id(&file("/a/mine.nemo"), Some("parakeet-tdt-0.6b-v3")), v3);
        assert_eq!(id(&file("/a/mine.nemo"), None), None);
        let said = Some("mine".to_owned());
        assert_eq!(id(&file("/a/parakeet-0.6b.nemo"), Some("mine")), said);
    }

    #[test]
    fn random_weights_need_no_file() {
        assert_eq!(
            source("--random-init rnnt-0.6b").unwrap(),
            Source::Random("rnnt-0.6b".into())
        );
    }
}
