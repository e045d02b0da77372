//! A whole worker: settings in, an engine at work, pages answered, an end in good order.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::artifacts::Artifacts;
use crate::config::Config;
use crate::contract::{Contract, Dalston, Identity};
use crate::engine::BatchEngine;
use crate::health::{Pages, ServeError, Vitals};
use crate::metrics::Metrics;
use crate::queue::{ListQueue, Queue, QueueError, StreamQueue};
use crate::runner::{Parts, RunError, RunnerSettings, run, shutdown_signals};

/// Why a worker did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The health pages cannot be served.
    #[error(transparent)]
    Pages(#[from] ServeError),
    /// The settings of the store do not fit together.
    #[error("the settings of the store do not fit together")]
    Store(#[from] object_store::Error),
    /// The settings of the queue do not fit together.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The worker ran, and could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system denies signals or threads.
    #[error("cannot listen for signals")]
    Signals(#[from] io::Error),
}

/// Works as `config` says until a signal asks otherwise: answers health checks first, then joins the
/// queue, loads the engine and takes tasks. Returns when everything at hand is done or put back.
///
/// Logging is the caller's: [`telemetry::init`](crate::telemetry::init).
///
/// # Errors
///
/// [`WorkError`]: end the process with it. No task is lost by it.
pub async fn work(engine: impl BatchEngine, config: &Config) -> Result<(), WorkError> {
    let shutdown = shutdown_signals()?;
    let dalston = Arc::new(Dalston {
        contract: config.contract,
        identity: Identity {
            engine_id: config.engine_id.clone(),
            instance: format!("{}-{}", config.engine_id, config.worker_id),
            hostname: config.hostname.clone(),
            deploy_env: config.deploy_env.clone(),
            capabilities: engine.capabilities(),
            registered_at: SystemTime::now(),
        },
    });
    let metrics = Arc::new(Metrics::new(&config.engine_id));
    let (vitals, seen) = watch::channel(Vitals::default());
    let port = config.metrics_port;
    let pages = Pages::bind(port, Arc::clone(&dalston), seen, Arc::clone(&metrics)).await?;
    let answering = tokio::spawn(pages.serve(std::future::pending()));
    if let Some(caveat) = config.contract.caveat() {
        tracing::warn!(caveat, "contract_caveat");
    }
    let instance = dalston.identity.instance.clone();
    let parts = Parts {
        queue: queue(config, &instance)?,
        artifacts: Artifacts::connect(&config.store)?,
        dialect: dalston,
        metrics,
        vitals,
        settings: RunnerSettings {
            engine_id: config.engine_id.clone(),
            lanes: MOST_LANES,
            grace: config.grace,
            max_deliveries: config.max_deliveries,
            scratch: scratch(config.redis_url.expose(), &instance),
        },
    };
    let worked = run(engine, parts, shutdown).await;
    // Open connections are not waited for; the pages have no more to say.
    answering.abort();
    Ok(worked?)
}

/// More tasks than any engine does at a time.
const MOST_LANES: usize = 64;

fn queue(config: &Config, instance: &str) -> Result<Arc<dyn Queue>, QueueError> {
    let (url, engine_id, lease) = (config.redis_url.expose(), &config.engine_id, config.lease);
    Ok(match config.contract {
        Contract::M22 | Contract::M22Typed => {
            Arc::new(ListQueue::new(url, engine_id, instance, lease)?)
        }
        Contract::Streams => Arc::new(StreamQueue::new(url, engine_id, instance, lease)?),
    })
}

/// The folder for the files of this worker's tasks: nobody else's, and the same after a restart, which
/// empties it. A worker id is one process's at a time in its pipeline, and pipelines differ by their
/// queue's address.
fn scratch(redis_url: &str, instance: &str) -> PathBuf {
    // What stands before the `@` is secret.
    let address = redis_url.rsplit('@').next();
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    let name = format!("dalston-{instance}-{:016x}", hasher.finish());
    tempfile::env::temp_dir().join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_of_two_pipelines_on_one_machine_share_no_folder() {
        let folder = |url| scratch(url, "speech-box");
        let one = folder("redis://:password@localhost:6379/0");
        assert_eq!(
            one,
            folder("redis://:another@localhost:6379/0"),
            "after a restart"
        );
        assert_ne!(one, folder("redis://:password@localhost:6379/1"));
        assert_ne!(one, folder("redis://:password@localhost:6380/0"));
    }
}
