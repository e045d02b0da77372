//! The command `health`: prints the health page of the worker on this machine.

use std::io::{self, Write as _};

use anyhow::{Context as _, ensure};
use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::health::ask;
use tokio::runtime::Builder;

use crate::engine_manifest::EngineManifest;

/// Prints the health page of the worker whose settings are in the environment.
///
/// # Errors
///
/// No worker answers, or its page says that it is unhealthy: whoever runs the worker should restart it.
pub fn run() -> anyhow::Result<()> {
    let port = Config::from_env(&EngineManifest::read().id)?.metrics_port;
    ensure!(
        port != 0,
        "DALSTON_METRICS_PORT is 0: the worker took a port that nobody else knows"
    );
    let runtime = Builder::new_current_thread().enable_all().build();
    let page = runtime
        .context("cannot wait for an answer")?
        .block_on(ask(port))?;
    writeln!(io::stdout(), "{page}").context("cannot write to standard output")
}
