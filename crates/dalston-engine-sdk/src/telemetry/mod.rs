//! The log: one line per event, with the names of the Python fleet, so that one search finds the events of
//! both.
//!
//! An event's name is its message and is constant; varying values are in fields. A worker shares these names
//! with Dalston's own engines: `engine_runner_initialized`, `engine_loop_starting`, `task_received`,
//! `task_processing`, `output_uploaded`, `task_completed`, `task_failed`, `shutdown_signal_received`,
//! `engine_loop_stopped`, `redis_connection_error`. Within [`task_span`] every line carries the ids of the
//! task and of its trace, and the model once it is known.

mod line;
mod trace;
mod writer;

use std::io;

use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogConfig, LogFormat};
use crate::queue::Claim;

use line::JsonLine;
pub use trace::TraceContext;
pub use writer::LogGuard;

/// Why a process cannot log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// This process has a logger already.
    #[error(transparent)]
    Taken(#[from] TryInitError),
    /// The system gives no thread.
    #[error("cannot start the log's thread")]
    Thread(#[from] io::Error),
}

/// Starts to log to standard output, for the rest of the process. Keep the returned value until the process
/// ends: its drop writes the last lines.
///
/// Logging never blocks. While nobody reads the output, up to 4 MiB of lines wait; later lines are dropped,
/// and `log_lines_dropped` says how many.
///
/// # Errors
///
/// [`InitError`]: end the process with it.
pub fn init(config: LogConfig, engine_id: &str) -> Result<LogGuard, InitError> {
    let (lines, guard) = writer::start(io::stdout())?;
    tracing_subscriber::registry()
        .with(layer(config, engine_id, lines))
        .try_init()?;
    Ok(guard)
}

/// The span of one task: every line that is logged within it carries the task's ids.
pub fn task_span(claim: &Claim, engine_id: &str) -> Span {
    // Of the highest level, so that no log level removes the span, and with it the ids from the lines.
    let span = tracing::error_span!(
        "task",
        task_id = claim.task_id,
        job_id = claim.job_id(),
        engine_id,
        stage = tracing::field::Empty,
        model = tracing::field::Empty,
        request_id = tracing::field::Empty,
        trace_id = tracing::field::Empty,
        span_id = tracing::field::Empty,
    );
    for name in ["stage", "request_id"] {
        if let Some(value) = claim.metadata.get(name) {
            span.record(name, value);
        }
    }
    if let Some(trace) = TraceContext::of(claim) {
        span.record("trace_id", trace.trace_id);
        span.record("span_id", trace.span_id);
    }
    span
}

/// Gives a task's span, the current one, the model: first as the task names it, then as the engine does. The
/// name may come from a task, so no more than 100 characters of it are kept.
pub(crate) fn record_model(name: &str) {
    let name: String = name.chars().take(100).collect();
    Span::current().record("model", name);
}

/// Crates that log their internals. Only their warnings and errors are logged here.
const VERBOSE_CRATES: [&str; 7] = [
    "h2",
    "hyper",
    "hyper_util",
    "object_store",
    "redis",
    "reqwest",
    "rustls",
];

fn layer<S, W>(config: LogConfig, engine_id: &str, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = LevelFilter::from_level(config.level);
    let quiet = VERBOSE_CRATES.map(|name| (name, level.min(LevelFilter::WARN)));
    let filter = Targets::new().with_default(level).with_targets(quiet);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match config.format {
        LogFormat::Console => lines.compact().with_filter(filter).boxed(),
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine::new(engine_id))
            .with_filter(filter)
            .boxed(),
    }
}

#[cfg(test)]
mod tests;
