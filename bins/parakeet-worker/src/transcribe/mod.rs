//! The command `transcribe`: makes settings of flags, and prints transcripts to standard output.

mod complaint;
mod in_order;
mod interruption;
mod memory_plan;
mod report;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
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

use complaint::{complain, complain_about};
use interruption::Interruption;
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
    /// Whether the standard output was open when the process started.
    pub stdout_is_open: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every file was printed.
    Complete,
    /// Some file failed; the standard error names it and the reason.
    SomeFailed,
    /// The reader of the standard output closed it before every file was printed.
    ReaderGone,
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

/// Transcribes files and prints the results. SIGINT and SIGTERM end the process.
///
/// # Errors
///
/// [`UsageError`] if the command line is wrong; the model's errors; a failure to write. A file that cannot be
/// transcribed is no error but [`Outcome::SomeFailed`].
pub fn run(args: &TranscribeArgs, environment: Environment) -> anyhow::Result<Outcome> {
    if args.tokens && args.format != Format::Json {
        return Err(UsageError::TokensWithoutJson.into());
    }
    ensure!(
        environment.stdout_is_open,
        "standard output is closed; transcripts are written there"
    );
    // Not through `io::Stdout`, which takes a failed write for a good one if the output cannot be written at all.
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    let mut out = BufWriter::new(File::from(stdout.context(CANNOT_WRITE)?));
    let dir = find_model(args, environment)?;
    let (sources, mut outcome) = check_sources(&args.files);
    if sources.is_empty() {
        return Ok(outcome);
    }
    let progress = progress_bar();
    let names = sources.iter().map(Source::to_string).collect();
    let bar = progress.clone();
    let interruption = Interruption::listen(names, move || bar.finish_and_clear())
        .context("cannot listen for signals")?;

    let begun = Instant::now();
    let transcriber = load(args, &dir)?;
    let load_time = begun.elapsed();
    let language = Language::settle(args.language.as_deref(), transcriber.model.manifest());
    if let Some(warning) = &language.warning {
        complain(&format!("warning: {warning}"));
    }
    let printer = Printer {
        format: args.format,
        model: &transcriber.model,
        language: &language.code,
        with_tokens: args.tokens,
        with_name: args.files.len() > 1,
    };
    let mut written = Ok(());

    let transcribing = Instant::now();
    let proceed = |stats: &Stats| {
        show(&progress, stats, transcribing.elapsed());
        ControlFlow::Continue(())
    };
    let rules = SegmentRules {
        at_sentence_ends: !args.ignore_punctuation,
        pause: args.segment_pause,
        max_length: args.segment_length,
        max_text: None,
    };
    let stats = transcribe_list(
        &transcriber,
        &rules,
        &sources,
        proceed,
        |file, transcript| {
            let name = sources[file].to_string();
            let deliver = || match transcript {
                Ok(transcript) => {
                    for warning in &transcript.warnings {
                        complain(&format!("warning: {name}: {warning}"));
                    }
                    printer.print(&mut out, &name, &transcript)?;
                    out.flush()
                }
                Err(why) => {
                    outcome = Outcome::SomeFailed;
                    complain_about(&name, why);
                    Ok(())
                }
            };
            written = interruption.deliver(|| progress.suspend(deliver));
            if written.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    );
    interruption.wait_if_ending();
    progress.finish_and_clear();

    match written {
        // The reader, such as `head`, closed the pipe: that is its way to say that it needs no more.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::ReaderGone),
        written => written.context(CANNOT_WRITE)?,
    }
    if args.stats {
        let Transcriber { model, settings } = &transcriber;
        let report = Report {
            stats: &stats,
            load_time,
            planned: MemoryPlan::of(model, settings, stats.held_s),
        };
        for line in report.to_string().lines() {
            complain(line);
        }
    }
    Ok(outcome)
}

const CANNOT_WRITE: &str = "cannot write to standard output";

/// The recordings that can be opened. Complains about the others before the model is loaded, which may take long.
fn check_sources(files: &[PathBuf]) -> (Vec<Source>, Outcome) {
    let mut outcome = Outcome::Complete;
    let mut sources: Vec<_> = files.iter().cloned().map(Source::from).collect();
    sources.retain(|source| match source.check() {
        Ok(()) => true,
        Err(why) => {
            outcome = Outcome::SomeFailed;
            complain_about(&source.to_string(), why);
            false
        }
    });
    (sources, outcome)
}

/// The folder of the model that flags and environment name.
fn find_model(args: &TranscribeArgs, environment: Environment) -> Result<PathBuf, UsageError> {
    let model = args.model.clone().or(environment.default_model);
    let model = model.as_deref().unwrap_or(DEFAULT_MODEL);
    Ok(model_dir::find(
        model,
        &Bundles::new(environment.model_dir),
    )?)
}

/// Loads the model in `dir` with the settings of the flags.
fn load(args: &TranscribeArgs, dir: &Path) -> anyhow::Result<Transcriber> {
    set_threads(args.threads);
    let model = ParakeetModel::load(dir, args.device, args.compute_type)?;
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
