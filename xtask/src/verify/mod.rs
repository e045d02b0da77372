//! `cargo xtask verify`: the engine's checklist for one model of the hub, point by point.

mod checklist;
mod recordings;
mod transcript;
mod worker;

use anyhow::{Result, ensure};

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
    let subject = Subject {
        project,
        worker: Worker::new(project, arguments.worker.as_deref())?,
        model,
        dtype: &arguments.dtype,
        recordings,
    };

    let mut list = Checklist::default();
    let bundle = subject.make(&mut list);
    let heard = list.check("the model loads and transcribes", bundle, |()| {
        let heard = subject.transcripts()?;
        Ok((format!("{} recordings", heard.len()), heard))
    });
    check_transcripts(&mut list, &subject.recordings, heard.as_deref());
    subject.check_gpu(&mut list, bundle);
    let title = "switching models keeps the words of each";
    list.decide(title, heard.as_deref(), |heard| match &other {
        Some(other) => subject.switch(other, heard),
        None => Ok(Outcome::NotRun(
            "name another model with --switch-to".to_owned(),
        )),
    });
    for (title, needs) in ELSEWHERE {
        list.decide(title, Some(()), |()| Ok(Outcome::NotRun(needs.to_owned())));
    }
    list.verdict()
}

/// What is verified, and with what.
struct Subject<'a> {
    project: &'a Project,
    worker: Worker<'a>,
    /// A repository of the hub.
    model: String,
    /// Compute types with commas between.
    dtype: &'a str,
    recordings: Vec<Recording>,
}

impl Subject<'_> {
    /// Fetches and exports; `None` when one of them failed.
    fn make(&self, list: &mut Checklist) -> Option<()> {
        let checkpoint = list.check("the hub's checkpoint is whole", Some(()), |()| {
            let checkpoint = hub::fetch(self.project, &self.model)?;
            let n_bytes = std::fs::metadata(&checkpoint)?.len();
            let found = format!("{:.2} GB, SHA-256 as the hub states", n_bytes as f64 / 1e9);
            Ok((found, checkpoint))
        });
        list.check("it becomes a bundle", checkpoint, |checkpoint| {
            let out = self.project.bundle(&self.model);
            self.project.announce("exporting the model");
            export::bundle(self.project, &checkpoint, &self.model, &out, self.dtype)?;
            Ok((format!("{} in {}", self.dtype, out.display()), ()))
        })
    }

    /// What is heard on the device that the worker chooses.
    fn transcripts(&self) -> Result<Vec<Transcript>> {
        self.worker
            .transcripts("auto", &self.model, &self.recordings)
    }

    /// With a GPU the model must run on it; without, the worker must say that it is missing.
    fn check_gpu(&self, list: &mut Checklist, bundle: Option<()>) {
        list.decide("the model runs on a GPU", bundle, |()| {
            let Some(gpu) = worker::gpu() else {
                return Ok(Outcome::NotRun("this machine has no GPU".to_owned()));
            };
            self.worker
                .transcripts("cuda", &self.model, &self.recordings)?;
            Ok(Outcome::Holds(gpu))
        });
        list.check("a missing GPU is named", bundle, |()| {
            let recording = &self.recordings[..1];
            let said = self.worker.complaint_without_gpu(&self.model, recording)?;
            Ok((said, ()))
        });
    }

    /// Another model, then the first again, each in a process of its own: one call has one model.
    fn switch(&self, other: &str, first: &[Transcript]) -> Result<Outcome> {
        let bundle = self.project.bundle(other);
        if !bundle.join("manifest.json").is_file() {
            let checkpoint = hub::fetch(self.project, other)?;
            export::bundle(self.project, &checkpoint, other, &bundle, self.dtype)?;
        }
        let between = self.worker.transcripts("auto", other, &self.recordings)?;
        between.iter().try_for_each(Transcript::check_shape)?;
        for (before, after) in first.iter().zip(self.transcripts()?) {
            let (before, after) = (before.text()?, after.text()?);
            ensure!(
                before == after,
                "it says {after:?} after {other}, {before:?} before"
            );
        }
        Ok(Outcome::Holds(format!(
            "{other} and back, one process each"
        )))
    }
}

/// What one look at the transcripts decides.
fn check_transcripts(list: &mut Checklist, recordings: &[Recording], heard: Option<&[Transcript]>) {
    let everywhere = || ("in every output".to_owned(), ());
    let title = "every recording gives text and words with times";
    list.check(title, heard, |heard| {
        let n_words: usize = heard.iter().map(Transcript::n_words).sum::<Result<_>>()?;
        Ok((format!("{n_words} words"), ()))
    });
    list.check("the output has the plan's shape", heard, |heard| {
        heard.iter().try_for_each(Transcript::check_shape)?;
        Ok(("text, segments, words, language".to_owned(), ()))
    });
    list.check("native_word_timestamps is true", heard, |heard| {
        heard.iter().try_for_each(Transcript::check_native_times)?;
        Ok(everywhere())
    });
    let title = "words run forward, inside segment and audio";
    list.check(title, heard, |heard| {
        for (transcript, recording) in heard.iter().zip(recordings) {
            transcript.check_times(recording.seconds)?;
        }
        Ok(everywhere())
    });
    list.check("at most 5 % of the words are wrong", heard, |heard| {
        let mut errors = WordErrors::default();
        for (transcript, recording) in heard.iter().zip(recordings) {
            errors += recordings::compare(&recording.spoken, transcript.text()?);
        }
        let found = errors.to_string();
        ensure!(errors.rate() <= MOST_WORD_ERRORS, "{found}");
        Ok((found, ()))
    });
}
