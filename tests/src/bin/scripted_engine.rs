//! A worker with an engine for tests, which does what the settings of each task say.

use std::error::Error;
use std::fs;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::contract::{
    AlignmentMethod, Transcript, TranscriptSegment, TranscriptWord,
};
use dalston_engine_sdk::{
    Capabilities, Engine, EngineHealth, TaskContext, TaskError, TaskInput, TaskOutput, TaskResult,
    failpoint, telemetry, work,
};

/// `E2E_FAILPOINT` is the failpoint of the SDK at which the process aborts.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(step) = std::env::var("E2E_FAILPOINT") {
        failpoint::arm(&step);
    }
    let config = Config::from_env("scripted")?;
    let log = telemetry::init(config.logs, &config.engine_id)?;
    Ok(work(Scripted, &config)
        .await
        .map_err(|err| err.exit_if_hung(log))?)
}

/// An engine whose transcript is one word, the text of the audio file.
///
/// Settings of a task: `log_mb` is how many megabytes the engine first logs. `work_ms` is how long the engine
/// works; it checks for a stop every 5 ms. `then` is what follows: `abort` ends the process, `panic` panics,
/// `hang` works for ever and checks nothing, `fail` is an error of the engine, and `refuse` is an error of the
/// task.
struct Scripted;

impl Engine for Scripted {
    fn load(&mut self) -> Result<(), TaskError> {
        Ok(())
    }

    fn process(
        &mut self,
        input: &TaskInput,
        context: &TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        let log_mb = input.config.get("log_mb").and_then(|it| it.as_u64());
        for _ in 0..log_mb.unwrap_or(0) * 1000 {
            tracing::info!(text = "x".repeat(1000), "scripted_line");
        }
        let work = input.config.get("work_ms").and_then(|it| it.as_u64());
        let end = Instant::now() + Duration::from_millis(work.unwrap_or(0));
        while Instant::now() < end {
            context.check()?;
            thread::sleep(Duration::from_millis(5).min(end - Instant::now()));
        }
        match input.config.get("then").and_then(|it| it.as_str()) {
            Some("abort") => process::abort(),
            Some("hang") => loop {
                thread::park();
            },
            Some("panic") => panic!("the task says so"),
            Some("fail") => return Err(TaskError::engine("the engine failed as it was told")),
            Some("refuse") => return Err(TaskError::input("the task is refused as it asked")),
            _ => {}
        }
        let audio = fs::read_to_string(input.audio()?)
            .map_err(|why| TaskError::input("the audio is no text").caused_by(why))?;
        Ok(TaskOutput {
            result: TaskResult::Transcript(transcript(&audio)),
            ..TaskOutput::default()
        })
    }

    fn health(&self) -> EngineHealth {
        EngineHealth {
            device: "cpu".to_owned(),
            ..EngineHealth::default()
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            stages: vec!["transcribe".to_owned()],
            supports_word_timestamps: true,
            supports_cpu: true,
            ..Capabilities::default()
        }
    }
}

/// A transcript with one word of one second.
fn transcript(text: &str) -> Transcript {
    let (start, end) = (0.0, 1.0);
    let word = TranscriptWord {
        text: text.to_owned(),
        start,
        end,
        confidence: Some(0.5),
    };
    let segment = TranscriptSegment {
        start,
        end,
        text: text.to_owned(),
        words: vec![word],
        confidence: Some(0.5),
    };
    Transcript {
        text: text.to_owned(),
        segments: vec![segment],
        language: "en".to_owned(),
        language_confidence: None,
        language_source: None,
        duration: Some(end),
        alignment_method: AlignmentMethod::Rnnt,
        confidence_method: None,
        warnings: Vec::new(),
    }
}
