//! The command `run`: a worker on Dalston's queue, from reading its settings to its last task.

use anyhow::Context as _;
use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::{telemetry, work};
use tokio::runtime::Runtime;

use crate::engine_manifest::EngineManifest;
use crate::worker::ParakeetEngine;

/// Works on the queue that the environment names until a signal ends it.
///
/// # Errors
///
/// The settings are wrong, or the worker cannot work: the default model is missing, the requested GPU is
/// missing, or another worker has the same id.
pub fn run() -> anyhow::Result<()> {
    let manifest = EngineManifest::read();
    let config = Config::from_env(&manifest.id)?;
    let log = telemetry::init(config.logs, &config.engine_id)?;
    let engine = ParakeetEngine::new(&manifest, &config);
    let runtime = Runtime::new().context("cannot start threads")?;
    let worked = runtime.block_on(work(engine, &config));
    // Before the runtime is dropped, which waits for its threads.
    Ok(worked.map_err(|err| err.exit_if_hung(log))?)
}
