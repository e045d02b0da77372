//! Transcribes tasks that share batches.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use dalston_engine_sdk::contract::LanguageSource;
use dalston_engine_sdk::{Task, TaskError, TaskOutput, TaskResult, Tasks};
use segmenter::SegmentRules;

use super::fault::task_error;
use super::prepare::{BatchKey, PreparedTask, TaskPreparer};
use crate::language::Language;
use crate::output::{Label, wire};
use crate::source::Source;
use crate::transcriber::{Client, Error, Stats, Transcriber, Transcript};

/// Transcribes a task, and with it every task that arrives meanwhile and has the same key.
///
/// Ends when no such task is left. Returns the task with another key that ended the batch, if one arrived. That
/// task starts when the tasks before it are done.
pub(super) fn transcribe(
    preparer: &mut TaskPreparer,
    tasks: &mut Tasks,
    task: Task,
) -> Option<Task> {
    let opened = task.span.in_scope(|| {
        let prepared = preparer.prepare(&task)?;
        let transcriber = tasks.while_loading(|| preparer.transcriber(&prepared.key, tasks))?;
        Ok((prepared, transcriber))
    });
    let (prepared, transcriber) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            tasks.finish(task, Err(why), preparer.health());
            return None;
        }
    };
    let mut batch = TaskBatch {
        preparer,
        tasks,
        transcriber: &transcriber,
        key: prepared.key.clone(),
        first: Some((task, prepared)),
        active: BTreeMap::new(),
        n_started: 0,
        deferred: None,
        reported: Stats::default(),
    };
    let stats = transcriber.transcribe(&mut batch);
    batch.report(&stats);
    batch.deferred
}

/// The tasks that share the batches of one transcription: the worker's client of the transcriber.
struct TaskBatch<'a> {
    preparer: &'a mut TaskPreparer,
    tasks: &'a mut Tasks,
    transcriber: &'a Transcriber,
    /// The key of every task in this batch.
    key: BatchKey,
    /// The task that the batch began with, until the transcriber asks for it.
    first: Option<(Task, PreparedTask)>,
    /// The tasks that the transcriber has, by the numbers of their recordings.
    active: BTreeMap<usize, ActiveTask>,
    n_started: usize,
    /// A task with another key. Once it is here no further task is taken: a worker that went on would let a
    /// stream of equal tasks starve this one.
    deferred: Option<Task>,
    /// The counters as they were last reported to the metrics, which take differences.
    reported: Stats,
}

/// A task whose recording the transcriber has.
struct ActiveTask {
    task: Task,
    language: Language,
    /// Whether the task asked for `language`.
    is_requested: bool,
    warning: Option<String>,
    segment_rules: SegmentRules,
}

impl TaskBatch<'_> {
    fn start(&mut self, task: Task, prepared: PreparedTask) -> (usize, Source) {
        let model = &self.transcriber.model;
        let asked = prepared.language.as_deref();
        let (language, is_requested) = self.preparer.language(asked, model);
        task.span.in_scope(|| {
            let model = &model.manifest().model_id;
            task.span.record("model", model);
            tracing::info!(model, language = language.code, "transcribing");
        });
        let number = self.n_started;
        self.n_started += 1;
        let active = ActiveTask {
            task,
            language,
            is_requested,
            warning: prepared.warning,
            segment_rules: prepared.segment_rules,
        };
        self.active.insert(number, active);
        (number, Source::File(prepared.audio))
    }

    fn finish(&mut self, task: Task, output: Result<TaskOutput, TaskError>) {
        self.tasks.finish(task, output, self.preparer.health());
    }

    /// Adds what changed since the last report to the worker's metrics.
    fn report(&mut self, stats: &Stats) {
        let reported = &self.reported;
        let n_batches = stats.batches.n - reported.batches.n;
        if n_batches > 0 {
            let n_chunks = stats.batches.n_chunks - reported.batches.n_chunks;
            let room = n_batches * self.transcriber.settings.batch_size.get();
            self.tasks.record_batch(n_chunks, room);
        }
        for ((step, time), (_, before)) in stats.steps().into_iter().zip(reported.steps()) {
            self.tasks.record_step(step, time - before);
        }
        self.reported = stats.clone();
    }
}

impl Client for TaskBatch<'_> {
    fn next(&mut self) -> Option<(usize, Source)> {
        if let Some((task, prepared)) = self.first.take() {
            return Some(self.start(task, prepared));
        }
        while self.deferred.is_none() {
            let task = self.tasks.take()?;
            match task.span.in_scope(|| self.preparer.prepare(&task)) {
                Ok(prepared) if prepared.key == self.key => {
                    let model = &self.transcriber.model.manifest().model_id;
                    self.tasks.record_model_in_memory(model);
                    return Some(self.start(task, prepared));
                }
                Ok(_) => self.deferred = Some(task),
                Err(why) => self.finish(task, Err(why)),
            }
        }
        None
    }

    fn segment_rules(&mut self, number: usize) -> SegmentRules {
        self.active[&number].segment_rules.clone()
    }

    fn proceed(&mut self, stats: &Stats) -> ControlFlow<()> {
        self.report(stats);
        ControlFlow::Continue(())
    }

    /// A task that was stopped is answered here at once; the transcriber then drops its recording.
    fn wants(&mut self, number: usize, searched: f64) -> bool {
        let context = &self.active[&number].task.context;
        context.progress(searched);
        let Err(why) = context.check() else {
            return true;
        };
        if let Some(stopped) = self.active.remove(&number) {
            self.finish(stopped.task, Err(why));
        }
        false
    }

    fn deliver(&mut self, number: usize, transcript: Result<Transcript, Error>) -> ControlFlow<()> {
        let active = self.active.remove(&number);
        let ActiveTask {
            task,
            language,
            is_requested,
            warning,
            ..
        } = active.expect("a recording is delivered once, and never after it was dropped");
        let manifest = self.transcriber.model.manifest();
        let output = transcript.map_err(task_error).map(|mut transcript| {
            transcript.warnings.extend(warning);
            transcript.warnings.extend(language.warning);
            let label = Label {
                language: &language.code,
                head: manifest.head,
            };
            let mut written = wire(&transcript, &label);
            written.duration = Some(transcript.duration_s);
            written.language_source = is_requested.then_some(LanguageSource::Requested);
            let word_counts = written.segments.iter().map(|it| it.words.len());
            task.span.in_scope(|| {
                tracing::info!(
                    segment_count = written.segments.len(),
                    word_count = word_counts.sum::<usize>(),
                    char_count = written.text.chars().count(),
                    "transcription_complete"
                );
            });
            TaskOutput {
                result: TaskResult::Transcript(written),
                model: Some(manifest.model_id.clone()),
                audio_s: Some(transcript.duration_s),
            }
        });
        self.finish(task, output);
        ControlFlow::Continue(())
    }
}
