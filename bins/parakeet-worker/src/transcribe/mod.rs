//! The command `transcribe`: makes settings of flags, and prints transcripts to standard output.

mod in_order;
mod memory_plan;
mod report;

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parakeet_model::{Bundles, ParakeetModel, set_threads};
use segmenter::SegmentRules;

use crate::cli::TranscribeArgs;
use crate::language::Language;
use crate::model_dir::{self, DEFAULT_MODEL, NoSuchModel};
use crate::output::{Format, Printer};
use crate::settings::{Settings, chunk_rules, longest_chunk};
use crate::source::Source;
use crate::transcriber::{Stats, Transcriber};

use memory_plan::MemoryPlan;
use report::Report;

pub use in_order::transcribe_list;

/// The environment of the command.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `DALSTON_MODEL_DIR`.
    pub model_dir: Option<PathBuf>,
    /// `DALSTON_DEFAULT_MODEL`, an id or a path.
    pub default_model: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every file was printed, or the reader of the standard output closed it.
    Complete,
    /// Some file failed; the standard error names it and the reason.
    SomeFailed,
}

/// A command line that cannot be carried out as it was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// There is no such model.
    #[error(transparent)]
    NoSuchModel(#[from] NoSuchModel),
    /// The other formats have no place for tokens.
    #[error("--tokens needs --format json")]
    TokensWithoutJson,
    /// The network cannot encode so long a chunk.
    #[error("--chunk-seconds is {asked}, expected at most {longest} for {model_id}")]
    ChunkTooLong {
        /// The value of the flag, in seconds.
        asked: f64,
        /// The longest chunk that the network takes, in seconds.
        longest: f64,
        /// The model's id.
        model_id: String,
    },
}

/// Transcribes files and prints the results.
///
/// # Errors
///
/// [`UsageError`] if the command line is wrong; the model's errors; a failure to write. A file that cannot be
/// transcribed is no error but [`Outcome::SomeFailed`].
pub fn run(args: &TranscribeArgs, environment: Environment) -> anyhow::Result<Outcome> {
    if args.tokens && args.format != Format::Json {
        return Err(UsageError::TokensWithoutJson.into());
    }
    let begun = Instant::now();
    let transcriber = load(args, environment)?;
    let load_time = begun.elapsed();
    let language = Language::settle(args.language.as_deref(), transcriber.model.manifest());
    if let Some(warning) = &language.warning {
        complain(&format!("warning: {warning}"));
    }

    let sources: Vec<_> = args.files.iter().cloned().map(Source::from).collect();
    let printer = Printer {
        format: args.format,
        model: &transcriber.model,
        language: &language.code,
        with_tokens: args.tokens,
        with_name: sources.len() > 1,
    };
    let progress = progress_bar();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut outcome = Outcome::Complete;
    let mut written = Ok(());

    let transcribing = Instant::now();
    let proceed = |stats: &Stats| {
        show(&progress, stats, transcribing.elapsed());
        ControlFlow::Continue(())
    };
    let stats = transcribe_list(&transcriber, &sources, proceed, |file, transcript| {
        let name = sources[file].to_string();
        progress.suspend(|| match transcript {
            Ok(transcript) => {
                for warning in &transcript.warnings {
                    complain(&format!("warning: {name}: {warning}"));
                }
                written = printer
                    .print(&mut out, &name, &transcript)
                    .and_then(|()| out.flush());
            }
            Err(why) => {
                outcome = Outcome::SomeFailed;
                complain(&format!("error: {name}: {:#}", anyhow::Error::from(why)));
            }
        });
        if written.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    progress.finish_and_clear();

    match written {
        // The reader, such as `head`, closed the pipe: that is its way to say that it needs no more.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(outcome),
        written => written.context("cannot write to standard output")?,
    }
    if args.stats {
        let Transcriber { model, settings } = &transcriber;
        let report = Report {
            stats: &stats,
            load_time,
            planned: MemoryPlan::of(model, settings, stats.held_s),
        };
        complain(report.to_string().trim_end());
    }
    Ok(outcome)
}

/// Loads the model that flags and environment name, with the settings of the flags.
fn load(args: &TranscribeArgs, environment: Environment) -> anyhow::Result<Transcriber> {
    let model = args.model.clone().or(environment.default_model);
    let model = model.as_deref().unwrap_or(DEFAULT_MODEL);
    let bundles = Bundles::new(environment.model_dir);
    let dir = model_dir::find(model, &bundles).map_err(UsageError::from)?;
    set_threads(args.threads);
    let model = ParakeetModel::load(&dir, args.device, args.compute_type)?;
    let defaults = Settings::of(&model, None);
    let batch_size = match args.batch_size {
        Some(batch_size) => NonZeroUsize::new(batch_size.into()).context("--batch-size is 0")?,
        None => defaults.batch_size,
    };
    let manifest = model.manifest();
    let chunk_rules = chunk_rules(args.chunk_seconds, manifest);
    let mut chunk_rules = chunk_rules.ok_or_else(|| UsageError::ChunkTooLong {
        asked: args.chunk_seconds,
        longest: longest_chunk(manifest),
        model_id: manifest.model_id.clone(),
    })?;
    if args.hear_silence {
        chunk_rules.skip_frames = None;
    }
    Ok(Transcriber {
        settings: Settings {
            batch_size,
            chunk_rules,
            segment_rules: SegmentRules {
                at_sentence_ends: !args.ignore_punctuation,
                pause: args.segment_pause,
                max_length: args.segment_length,
            },
            ..defaults
        },
        model: Arc::new(model),
    })
}

/// A progress bar on standard error; hidden unless standard error is a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {msg}, {eta} left")
        .expect("the template is a constant and well formed");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Shows how much of the audio loaded so far is recognised, in seconds.
fn show(progress: &ProgressBar, stats: &Stats, elapsed: Duration) {
    let Stats {
        audio_s,
        recognized_s,
        ..
    } = stats;
    let rtfx = recognized_s / elapsed.as_secs_f64();
    progress.set_message(format!(
        "{recognized_s:.0} of {audio_s:.0} s, RTFx {rtfx:.0}"
    ));
    progress.set_length(*audio_s as u64);
    progress.set_position(*recognized_s as u64);
}

/// Writes a line to standard error. Unlike `eprintln!`, does not panic if standard error is closed.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
