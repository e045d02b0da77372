//! `cargo xtask verify`: the engine's checklist for one model of the hub, point by point.

mod checklist;
mod recordings;
mod transcript;
mod worker;

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::VerifyArguments;
use crate::project::Project;
use crate::{export, hub, setup};
use checklist::{Checklist, Outcome};
use recordings::{Recording, WordErrors};
use transcript::Transcript;
use worker::Worker;

/// Word errors per spoken word that a model for real speech stays below on the shipped recordings.
const MOST_WORD_ERRORS: f64 = 0.05;

const SHIPPED_RECORDINGS: &str = "tests/data/speech";

/// Points of the checklist that need more than this machine, and what they need.
const ELSEWHERE: [(&str, &str); 4] = [
    (
        "Dalston leaves its ALIGN stage out",
        "needs a Dalston deployment with this engine in it",
    ),
    (
        "the image builds with the model in it",
        "needs a container engine: docker build",
    ),
    (
        "the worker polls its queue",
        "needs Redis and S3: parakeet-worker run",
    ),
    (
        "health names GPU and model",
        "needs a worker that runs: parakeet-worker health",
    ),
];

/// Goes through the list; every point is printed as soon as it is decided.
///
/// # Errors
///
/// When the set-up, the worker or the recordings are not there, and when a point failed.
pub(crate) fn run(project: &Project, arguments: &VerifyArguments) -> Result<()> {
    let model = hub::repository(&arguments.model)?;
    let other = arguments.switch_to.as_deref().map(hub::repository);
    let other = other.transpose()?;
    let folder = match &arguments.recordings {
        Some(folder) => std::path::absolute(folder)?,
        None => project.path(SHIPPED_RECORDINGS),
    };
    let recordings = recordings::read(&folder)?;
    setup::ensure(project)?;
    let worker = Worker::new(project, arguments.worker.as_deref())?;

    let mut list = Checklist::default();
    let made = make(project, &mut list, &model, &arguments.dtype);
    let heard = list.check("the model loads and transcribes", || {
        made.context("there is no bundle")?;
        let heard = worker.transcripts(&model, &recordings)?;
        Ok((format!("{} recordings", heard.len()), heard))
    });
    check_transcripts(&mut list, &recordings, heard.as_deref());
    check_gpu(&mut list, &worker, &model, &recordings);
    list.decide("switching models keeps the words of each", || {
        let Some(other) = &other else {
            return Ok(Outcome::NotRun(
                "name another model with --switch-to".to_owned(),
            ));
        };
        let heard = heard.as_deref().context("the model does not transcribe")?;
        switch(
            project,
            &worker,
            &arguments.dtype,
            [&model, other],
            &recordings,
            heard,
        )
    });
    for (title, needs) in ELSEWHERE {
        list.decide(title, || Ok(Outcome::NotRun(needs.to_owned())));
    }
    list.verdict()
}

/// Fetches and exports; `None` when one of them failed.
fn make(project: &Project, list: &mut Checklist, model: &str, dtype: &str) -> Option<()> {
    let checkpoint = list.check("the hub's checkpoint is whole", || {
        let checkpoint = hub::fetch(project, model)?;
        let n_bytes = std::fs::metadata(&checkpoint)?.len();
        let found = format!("{:.2} GB, SHA-256 as the hub states", n_bytes as f64 / 1e9);
        Ok((found, checkpoint))
    });
    list.check("it becomes a bundle", || {
        let checkpoint = checkpoint.context("there is no checkpoint")?;
        let out = project.bundle(model);
        project.announce("exporting the model");
        export::bundle(project, &checkpoint, model, &out, dtype)?;
        Ok((format!("{dtype} in {}", out.display()), ()))
    })
}

/// What one look at the transcripts decides.
fn check_transcripts(list: &mut Checklist, recordings: &[Recording], heard: Option<&[Transcript]>) {
    let heard = || heard.context("the model does not transcribe");
    list.check("every recording gives text and words with times", || {
        let n_words: usize = heard()?
            .iter()
            .map(Transcript::n_words)
            .sum::<Result<_>>()?;
        Ok((format!("{n_words} words"), ()))
    });
    list.check("the output has the plan's shape", || {
        heard()?.iter().try_for_each(Transcript::check_shape)?;
        Ok(("text, segments, words, language".to_owned(), ()))
    });
    list.check("native_word_timestamps is true", || {
        heard()?
            .iter()
            .try_for_each(Transcript::check_native_times)?;
        Ok(("in every output".to_owned(), ()))
    });
    list.check("words run forward, inside segment and audio", || {
        for (transcript, recording) in heard()?.iter().zip(recordings) {
            transcript.check_times(recording.seconds)?;
        }
        Ok(("in every output".to_owned(), ()))
    });
    list.check("at most 5 % of the words are wrong", || {
        let mut errors = WordErrors::default();
        for (transcript, recording) in heard()?.iter().zip(recordings) {
            errors += recordings::compare(&recording.spoken, transcript.text()?);
        }
        let found = errors.to_string();
        ensure!(errors.rate() <= MOST_WORD_ERRORS, "{found}");
        Ok((found, ()))
    });
}

/// With a GPU the model must run on it; without, the worker must say that it is missing.
fn check_gpu(list: &mut Checklist, worker: &Worker, model: &str, recordings: &[Recording]) {
    list.decide("the model runs on a GPU", || {
        let Some(gpu) = worker::gpu() else {
            return Ok(Outcome::NotRun("this machine has no GPU".to_owned()));
        };
        worker.transcripts_on_gpu(model, recordings)?;
        Ok(Outcome::Holds(gpu))
    });
    list.check("a missing GPU is named", || {
        let said = worker.complaint_without_gpu(model, recordings)?;
        Ok((said, ()))
    });
}

/// Another model, then the first again, each in a process of its own: one call has one model.
fn switch(
    project: &Project,
    worker: &Worker,
    dtype: &str,
    [model, other]: [&str; 2],
    recordings: &[Recording],
    first: &[Transcript],
) -> Result<Outcome> {
    let bundle = project.bundle(other);
    if !has_manifest(&bundle) {
        let checkpoint = hub::fetch(project, other)?;
        export::bundle(project, &checkpoint, other, &bundle, dtype)?;
    }
    let between = worker.transcripts(other, recordings)?;
    between.iter().try_for_each(Transcript::check_shape)?;
    for (before, after) in first.iter().zip(worker.transcripts(model, recordings)?) {
        if before.text()? != after.text()? {
            bail!(
                "after {other} it says {:?}, before {:?}",
                after.text()?,
                before.text()?
            );
        }
    }
    Ok(Outcome::Holds(format!(
        "{other} and back, one process each"
    )))
}

fn has_manifest(bundle: &Path) -> bool {
    bundle.join("manifest.json").is_file()
}
