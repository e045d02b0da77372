//! The command `transcribe`: flags to settings, results to standard output.

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
use crate::engine::{Engine, Settings};
use crate::language::Language;
use crate::memory::MemoryPlan;
use crate::model_dir::{self, DEFAULT_MODEL, NoSuchModel};
use crate::output::{Format, Printer};
use crate::settings::{chunk_rules, longest_chunk};
use crate::source::Source;
use crate::stats::Stats;

/// What the command takes from the environment.
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
    /// Every file was printed, or the reader has had enough.
    Complete,
    /// Some file failed; why was said on standard error.
    SomeFailed,
}

/// A call that cannot be carried out as it was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The model is not there.
    #[error(transparent)]
    NoSuchModel(#[from] NoSuchModel),
    /// Tokens have no place in the other formats.
    #[error("--tokens needs --format json")]
    TokensWithoutJson,
    /// The network cannot encode so much at once.
    #[error("--chunk-seconds is {asked}, expected at most {longest} for {model_id}")]
    ChunkTooLong {
        /// What was asked for.
        asked: f64,
        /// The longest chunk the network takes, in seconds.
        longest: f64,
        /// The model.
        model_id: String,
    },
}

/// Transcribes files and prints the results.
///
/// # Errors
///
/// [`UsageError`] if the call must be typed otherwise; the model's errors; a failure to write. A file
/// that cannot be transcribed is no error here but [`Outcome::SomeFailed`].
pub fn run(args: &TranscribeArgs, environment: Environment) -> anyhow::Result<Outcome> {
    if args.tokens && args.format != Format::Json {
        return Err(UsageError::TokensWithoutJson.into());
    }
    let begun = Instant::now();
    let engine = load(args, environment)?;
    let load_time = begun.elapsed();
    let language = Language::settle(args.language.as_deref(), engine.model.manifest());
    if let Some(warning) = &language.warning {
        complain(&format!("warning: {warning}"));
    }

    let sources: Vec<_> = args.files.iter().cloned().map(Source::from).collect();
    let printer = Printer {
        format: args.format,
        model: &engine.model,
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
    let mut stats = engine.transcribe_list(&sources, proceed, |file, transcript| {
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
    stats.load = load_time;
    stats.planned = MemoryPlan::of(&engine.model, &engine.settings, stats.held_s);

    match written {
        // The reader, `head` for example, has had enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(outcome),
        written => written.context("cannot write to standard output")?,
    }
    if args.stats {
        complain(stats.to_string().trim_end());
    }
    Ok(outcome)
}

fn load(args: &TranscribeArgs, environment: Environment) -> anyhow::Result<Engine> {
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
    Ok(Engine {
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

/// A bar on standard error, hidden unless that is a terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {msg}, {eta} left")
        .expect("the template is well formed");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

/// Shows how much of the audio loaded so far was heard, in seconds.
fn show(progress: &ProgressBar, stats: &Stats, elapsed: Duration) {
    let Stats {
        audio_s, heard_s, ..
    } = stats;
    let rtfx = heard_s / elapsed.as_secs_f64();
    progress.set_message(format!("{heard_s:.0} of {audio_s:.0} s, RTFx {rtfx:.0}"));
    progress.set_length(*audio_s as u64);
    progress.set_position(*heard_s as u64);
}

/// Writes a line to standard error. Unlike `eprintln!` it does not panic if nobody listens.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
