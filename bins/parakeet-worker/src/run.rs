//! The command `run`: a worker on Dalston's queue, from its settings to its last task.

use anyhow::Context as _;
use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::{telemetry, work};
use tokio::runtime::Runtime;

use crate::engine_manifest::EngineManifest;
use crate::worker::Worker;

/// Works as the environment says until a signal asks otherwise.
///
/// # Errors
///
/// The settings are wrong, or the worker cannot go on: no model, no GPU that was asked for, a second
/// worker of the same name.
pub fn run() -> anyhow::Result<()> {
    let manifest = EngineManifest::read();
    let config = Config::from_env(&manifest.id)?;
    telemetry::init(config.logs, &config.engine_id)?;
    let worker = Worker::new(&manifest, &config);
    let runtime = Runtime::new().context("cannot start threads")?;
    Ok(runtime.block_on(work(worker, &config))?)
}
