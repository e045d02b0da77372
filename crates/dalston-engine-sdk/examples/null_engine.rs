//! A whole engine that answers every task with silence: the least code that joins the pipeline, and a
//! baseline for measuring the SDK.

use std::error::Error;
use std::time::Duration;

use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::contract::{AlignmentMethod, Transcript, UNKNOWN_LANGUAGE};
use dalston_engine_sdk::{
    Capabilities, Engine, EngineHealth, TaskContext, TaskError, TaskInput, TaskOutput, TaskResult,
    telemetry, work,
};

struct NullEngine;

impl Engine for NullEngine {
    fn load(&mut self) -> Result<(), TaskError> {
        Ok(())
    }

    /// Sleeps for `config.sleep_ms`, aborts the process if `config.abort` is true, and answers with silence.
    fn process(
        &mut self,
        input: &TaskInput,
        context: &TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        if input.config.get("abort").is_some_and(|abort| abort == true) {
            std::process::abort();
        }
        let sleep_ms = input.config.get("sleep_ms").and_then(|ms| ms.as_u64());
        for _ in 0..sleep_ms.unwrap_or(0) / 10 {
            context.check()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(TaskOutput {
            result: TaskResult::Transcript(silence()),
            ..TaskOutput::default()
        })
    }

    fn health(&self) -> EngineHealth {
        EngineHealth::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            version: "1.0.0".to_owned(),
            stages: vec!["transcribe".to_owned()],
            ..Capabilities::default()
        }
    }
}

fn silence() -> Transcript {
    Transcript {
        text: String::new(),
        segments: Vec::new(),
        language: UNKNOWN_LANGUAGE.to_owned(),
        language_confidence: None,
        language_source: None,
        duration: None,
        alignment_method: AlignmentMethod::Unknown,
        confidence_method: None,
        warnings: Vec::new(),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a program's main may read the environment"
)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "failpoints")]
    if let Ok(name) = std::env::var("DALSTON_FAILPOINT") {
        dalston_engine_sdk::failpoint::arm(&name);
    }
    let config = Config::from_env("null")?;
    let log = telemetry::init(config.logs, &config.engine_id)?;
    Ok(work(NullEngine, &config)
        .await
        .map_err(|err| err.exit_if_hung(log))?)
}
