//! A whole worker: puts queue, store, health pages and runner together around one engine.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::artifacts::Artifacts;
use crate::config::{Config, NodeId};
use crate::contract::{Identity, Protocol, QueueKind};
use crate::engine::BatchEngine;
use crate::health::{Pages, ServeError};
use crate::instance_metadata::ec2_instance_id;
use crate::metrics::Metrics;
use crate::queue::{ListQueue, Queue, QueueError, StreamQueue};
use crate::runner::{Parts, RunError, RunnerSettings, run, shutdown_signals};
use crate::status::WorkerStatus;
use crate::telemetry::LogGuard;

/// Why a worker did not start, or ended although nobody asked it to.
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
    /// The worker ran and cannot go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system does not let this process listen for signals.
    #[error("cannot listen for signals")]
    Signals(#[from] io::Error),
}

/// Runs a worker with the settings `config` until a signal asks it to stop.
///
/// The worker first answers health checks, then joins the queue, loads the engine and takes tasks. The
/// function returns when every task in flight has ended or is put back. The caller sets up logging
/// beforehand: [`telemetry::init`](crate::telemetry::init).
///
/// # Errors
///
/// [`WorkError`]: end the process with it, first through [`WorkError::exit_if_hung`]. No task is lost.
pub async fn work(engine: impl BatchEngine, config: &Config) -> Result<(), WorkError> {
    let shutdown = shutdown_signals()?;
    let protocol = Arc::new(Protocol {
        contract: config.contract,
        identity: Identity {
            engine_id: config.engine_id.clone(),
            instance: format!("{}-{}", config.engine_id, config.worker_id),
            hostname: config.hostname.clone(),
            node_id: node_id(config).await,
            deploy_env: config.deploy_env.clone(),
            capabilities: engine.capabilities(),
            registered_at: SystemTime::now(),
        },
    });
    let metrics = Arc::new(Metrics::new(&config.engine_id));
    let (status, shown) = watch::channel(WorkerStatus::default());
    let port = config.metrics_port;
    // Before anything that may take long: the pages answer while the queue is unavailable and the engine
    // loads. A taken port ends the process here, before it holds any task.
    let shown_metrics = config.metrics_enabled.then(|| Arc::clone(&metrics));
    let pages = Pages::bind(port, Arc::clone(&protocol), shown, shown_metrics).await?;
    let answering = tokio::spawn(pages.serve(std::future::pending()));
    if let Some(caveat) = config.contract.caveat() {
        tracing::warn!(caveat, "contract_caveat");
    }
    if config.lease < SHORT_LEASE {
        tracing::warn!(lease_s = config.lease.as_secs(), "lease_short");
    }
    let instance = protocol.identity.instance.clone();
    let parts = Parts {
        queue: queue(config, &instance)?,
        artifacts: Artifacts::connect(&config.store)?,
        protocol,
        metrics,
        status,
        settings: RunnerSettings {
            engine_id: config.engine_id.clone(),
            slots: MAX_SLOTS,
            grace: config.grace,
            max_deliveries: config.max_deliveries,
            deferral_limit: config.deferral_limit,
            task_timeout: config.task_timeout,
            watchdog: config.watchdog,
            overtime: OVERTIME,
            scratch: scratch(config.redis_url.expose(), &instance),
        },
    };
    let worked = run(engine, parts, shutdown).await;
    // At once, without waiting for open connections: the status will not change any more.
    answering.abort();
    Ok(worked?)
}

/// Slots of a worker: the upper limit of `DALSTON_BATCH_MAX_INFLIGHT`, which `config` checks. The engine says
/// only after its load how many tasks it takes at once; the slots beyond that number wait and cost nothing.
const MAX_SLOTS: usize = 64;

/// How long the engine may keep a task whose time is over: an engine checks about once a second, but one batch
/// may take longer.
const OVERTIME: Duration = Duration::from_secs(30);

/// A shorter lease than this is lost if the machine or the network stands still for a moment.
const SHORT_LEASE: Duration = Duration::from_secs(10);

/// Exit code of a worker whose engine hangs: EX_SOFTWARE of sysexits.h.
const HUNG: i32 = 70;

impl WorkError {
    /// Ends the process with exit code 70 if the engine hangs, after writing the last lines of the log. Returns
    /// any other error.
    ///
    /// Call this before anything that waits for the engine. The usual end of a process would wait for it as well:
    /// it tears down the libraries that the engine is calling, and those of a GPU wait for their work.
    #[must_use]
    pub fn exit_if_hung(self, log: LogGuard) -> Self {
        if let Self::Run(RunError::Hung) = self {
            drop(log);
            signal_hook::low_level::exit(HUNG);
        }
        self
    }
}

/// The node's id. A metadata service that does not answer costs a second and leaves the machine's name.
async fn node_id(config: &Config) -> String {
    match &config.node_id {
        NodeId::Named(id) => id.clone(),
        NodeId::Hostname => config.hostname.clone(),
        NodeId::Ec2Instance => match ec2_instance_id().await {
            Ok(id) => id,
            Err(err) => {
                tracing::warn!(error = %err, node_id = config.hostname, "node_id_unknown");
                config.hostname.clone()
            }
        },
    }
}

fn queue(config: &Config, instance: &str) -> Result<Arc<dyn Queue>, QueueError> {
    let (url, engine_id, lease) = (config.redis_url.expose(), &config.engine_id, config.lease);
    let allowed = config.allow_eviction;
    Ok(match config.contract.queue_kind() {
        QueueKind::List => {
            let queue = ListQueue::new(url, engine_id, instance, lease)?;
            Arc::new(queue.allow_eviction(allowed))
        }
        QueueKind::Stream => {
            let queue = StreamQueue::new(url, engine_id, instance, lease)?;
            Arc::new(queue.allow_eviction(allowed))
        }
    })
}

/// The folder for the files of this worker's tasks.
///
/// No other process uses the folder: in one pipeline one process at a time has a worker id, and pipelines
/// differ by their queue's address. A restarted worker gets the same folder, and empties it.
fn scratch(redis_url: &str, instance: &str) -> PathBuf {
    // Credentials are before the `@`, or in the query of a socket's address. They may change without making
    // this another pipeline.
    let address = redis_url.rsplit('@').next().unwrap_or_default();
    let parts = address.split(['?', '&']);
    let is_public = |part: &&str| !part.starts_with("user=") && !part.starts_with("pass=");
    let mut hasher = DefaultHasher::new();
    parts
        .filter(is_public)
        .for_each(|part| part.hash(&mut hasher));
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
        let socket = folder("unix:///run/redis?db=1&pass=password");
        assert_eq!(socket, folder("unix:///run/redis?db=1&pass=another"));
        assert_ne!(socket, folder("unix:///run/redis?db=2&pass=password"));
    }
}
