//! Tasks that go through the network together.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use dalston_engine_sdk::contract::LanguageSource;
use dalston_engine_sdk::{BatchEngine as _, Task, TaskError, TaskOutput, TaskResult, Tasks};

use super::models::Bundle;
use super::{Worker, fault};
use crate::engine::{Client, Engine, Error, Transcript};
use crate::language::Language;
use crate::output::{Label, wire};
use crate::source::Source;
use crate::stats::Stats;
use crate::task_config::TranscribeConfig;

/// Transcribes a task, and with it those that come meanwhile and agree with it on their terms. Returns
/// one that does not, if it came: the others are done then, and it was waited for no longer than they
/// took.
pub(super) fn transcribe(worker: &mut Worker, tasks: &mut Tasks, task: Task) -> Option<Task> {
    let opened = task.span.in_scope(|| {
        let order = Order::read(worker, &task)?;
        let engine = worker.engine(&order.terms.bundle, &order.terms.config)?;
        Ok((order, engine))
    });
    let (order, engine) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            tasks.finish(task, Err(why), worker.health());
            return None;
        }
    };
    let mut company = Company {
        worker,
        tasks,
        engine: &engine,
        terms: order.terms.clone(),
        first: Some((task, order)),
        at_work: BTreeMap::new(),
        n_begun: 0,
        stranger: None,
        told: Stats::default(),
    };
    let stats = engine.transcribe(&mut company);
    company.tell(&stats);
    company.stranger
}

/// Tasks that share the engine's batches.
struct Company<'a> {
    worker: &'a mut Worker,
    tasks: &'a mut Tasks,
    engine: &'a Engine,
    terms: Terms,
    /// The task that began it, until the engine has it.
    first: Option<(Task, Order)>,
    at_work: BTreeMap<usize, AtWork>,
    n_begun: usize,
    /// A task of other terms, which waits for the end of these.
    stranger: Option<Task>,
    /// What was told of already.
    told: Stats,
}

/// What tasks agree on that share batches: the model, and every setting that changes what is heard or
/// where it is cut.
#[derive(Debug, Clone, PartialEq)]
struct Terms {
    bundle: Bundle,
    config: TranscribeConfig,
}

/// What a task asks for.
struct Order {
    audio: PathBuf,
    terms: Terms,
    language: Option<String>,
    /// What its user should know about the choice of the model.
    warning: Option<String>,
}

/// A task whose audio the engine has.
struct AtWork {
    task: Task,
    language: Language,
    is_requested: bool,
    warning: Option<String>,
}

impl Order {
    fn read(worker: &mut Worker, task: &Task) -> Result<Self, TaskError> {
        let (mut config, unknown) = TranscribeConfig::read(&task.input.config)?;
        worker.tell_ignored(&unknown);
        let audio = task.input.audio()?.to_owned();
        let (bundle, warning) = worker.models()?.choose(config.model.as_deref())?;
        task.context.check()?;
        let language = config.language.take();
        Ok(Self {
            audio,
            terms: Terms {
                bundle,
                // Of these it does not matter what they say, or it is said by the bundle.
                config: TranscribeConfig {
                    model: None,
                    channel: None,
                    return_hypotheses: None,
                    ..config
                },
            },
            language,
            warning,
        })
    }
}

impl Company<'_> {
    fn begin(&mut self, task: Task, order: Order) -> (usize, Source) {
        let (language, is_requested) = self
            .worker
            .language(order.language.as_deref(), &self.engine.model);
        task.span.in_scope(|| {
            let model = &self.engine.model.manifest().model_id;
            tracing::info!(model, language = language.code, "transcribing");
        });
        let number = self.n_begun;
        self.n_begun += 1;
        let at_work = AtWork {
            task,
            language,
            is_requested,
            warning: order.warning,
        };
        self.at_work.insert(number, at_work);
        (number, Source::File(order.audio))
    }

    fn finish(&mut self, task: Task, output: Result<TaskOutput, TaskError>) {
        self.tasks.finish(task, output, self.worker.health());
    }

    /// Tells what was done since it was last told.
    fn tell(&mut self, stats: &Stats) {
        let told = &self.told;
        let n_batches = stats.batches.n - told.batches.n;
        if n_batches > 0 {
            let n_chunks = stats.batches.n_chunks - told.batches.n_chunks;
            let room = n_batches * self.engine.settings.batch_size.get();
            self.tasks.batch(n_chunks, room);
        }
        for ((step, time), (_, before)) in stats.steps().into_iter().zip(told.steps()) {
            self.tasks.step(step, time - before);
        }
        self.told = stats.clone();
    }
}

impl Client for Company<'_> {
    fn next(&mut self) -> Option<(usize, Source)> {
        if let Some((task, order)) = self.first.take() {
            return Some(self.begin(task, order));
        }
        while self.stranger.is_none() {
            let task = self.tasks.take()?;
            match task.span.in_scope(|| Order::read(self.worker, &task)) {
                Ok(order) if order.terms == self.terms => return Some(self.begin(task, order)),
                Ok(_) => self.stranger = Some(task),
                Err(why) => self.finish(task, Err(why)),
            }
        }
        None
    }

    fn proceed(&mut self, stats: &Stats) -> ControlFlow<()> {
        self.tell(stats);
        ControlFlow::Continue(())
    }

    fn wants(&mut self, number: usize, heard: f64) -> bool {
        let context = &self.at_work[&number].task.context;
        context.progress(heard);
        let Err(why) = context.check() else {
            return true;
        };
        if let Some(stopped) = self.at_work.remove(&number) {
            self.finish(stopped.task, Err(why));
        }
        false
    }

    fn deliver(&mut self, number: usize, transcript: Result<Transcript, Error>) -> ControlFlow<()> {
        let AtWork {
            task,
            language,
            is_requested,
            warning,
        } = self.at_work.remove(&number).expect("it is delivered once");
        let manifest = self.engine.model.manifest();
        let output = transcript.map_err(fault).map(|mut transcript| {
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
