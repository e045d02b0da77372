//! `cargo xtask verify`: decides every point of the engine's checklist for one model of the hub.

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

/// The highest rate of word errors at which a model for real speech passes, on the shipped recordings.
const MOST_WORD_ERRORS: f64 = 0.05;

const SHIPPED_RECORDINGS: &str = "tests/data/speech";

/// The points that cannot be decided on one machine, and what each needs.
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

/// Decides the points in order and prints each at once.
///
/// # Errors
///
/// When the set-up, the worker or the recordings are missing, and when a point failed.
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
    let transcripts = list.check("the model loads and transcribes", bundle, |()| {
        let transcripts = subject.transcripts()?;
        Ok((format!("{} recordings", transcripts.len()), transcripts))
    });
    check_transcripts(&mut list, &subject.recordings, transcripts.as_deref());
    subject.check_gpu(&mut list, bundle);
    let title = "switching models keeps the words of each";
    list.decide(title, transcripts.as_deref(), |transcripts| match &other {
        Some(other) => subject.switch(other, transcripts),
        None => Ok(Outcome::NotRun(
            "name another model with --switch-to".to_owned(),
        )),
    });
    for (title, needs) in ELSEWHERE {
        list.decide(title, Some(()), |()| Ok(Outcome::NotRun(needs.to_owned())));
    }
    list.verdict()
}

/// The model to verify, and the programs for it.
struct Subject<'a> {
    project: &'a Project,
    worker: Worker<'a>,
    /// A repository of the hub.
    model: String,
    /// Compute types, separated by commas.
    dtype: &'a str,
    recordings: Vec<Recording>,
}

impl Subject<'_> {
    /// Fetches and exports the model; `None` if either failed.
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

    /// The transcripts on the device that the worker chooses.
    fn transcripts(&self) -> Result<Vec<Transcript>> {
        self.worker
            .transcripts("auto", &self.model, &self.recordings)
    }

    /// If there is a GPU, the model must run on it. If there is none, the worker's error must say so.
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

    /// Transcribes with another model, then with the first one again. Each model runs in its own process,
    /// because one call of `transcribe` has one model.
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

/// A check of all transcripts.
fn check_transcripts(
    list: &mut Checklist,
    recordings: &[Recording],
    transcripts: Option<&[Transcript]>,
) {
    let everywhere = || ("in every output".to_owned(), ());
    let title = "every recording gives text and words with times";
    list.check(title, transcripts, |transcripts| {
        let n_words: usize = transcripts
            .iter()
            .map(Transcript::n_words)
            .sum::<Result<_>>()?;
        Ok((format!("{n_words} words"), ()))
    });
    list.check(
        "the output has the plan's shape",
        transcripts,
        |transcripts| {
            transcripts.iter().try_for_each(Transcript::check_shape)?;
            Ok(("text, segments, words, language".to_owned(), ()))
        },
    );
    list.check(
        "native_word_timestamps is true",
        transcripts,
        |transcripts| {
            transcripts
                .iter()
                .try_for_each(Transcript::check_native_times)?;
            Ok(everywhere())
        },
    );
    let title = "words run forward, inside segment and audio";
    list.check(title, transcripts, |transcripts| {
        for (transcript, recording) in transcripts.iter().zip(recordings) {
            transcript.check_times(recording.seconds)?;
        }
        Ok(everywhere())
    });
    list.check(
        "at most 5 % of the words are wrong",
        transcripts,
        |transcripts| {
            let mut errors = WordErrors::default();
            for (transcript, recording) in transcripts.iter().zip(recordings) {
                errors += recordings::compare(&recording.spoken, transcript.text()?);
            }
            let found = errors.to_string();
            ensure!(errors.rate() <= MOST_WORD_ERRORS, "{found}");
            Ok((found, ()))
        },
    );
}
