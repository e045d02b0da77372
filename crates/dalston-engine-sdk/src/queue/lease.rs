//! A worker id and who has it: one process at a time, for as long as it renews its lease.

use std::time::Duration;

use redis::Script;
use tokio::time::{Instant, sleep};

use super::QueueError;
use super::server::Server;

/// How one process shows that it is alive, and that it is itself.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) worker: String,
    /// Told apart from an earlier or a second process of the same worker id.
    pub(super) nonce: String,
    pub(super) length: Duration,
    /// The key that lapses when the worker is silent.
    pub(super) heartbeat: String,
    /// The sorted set of all workers of the engine, by when they were last seen.
    pub(super) workers: String,
}

impl Lease {
    pub(super) fn new(engine_id: &str, worker: &str, length: Duration) -> Self {
        Self {
            worker: worker.to_owned(),
            nonce: uuid::Uuid::new_v4().to_string(),
            length,
            heartbeat: format!("{}{worker}", heartbeat_prefix(engine_id)),
            workers: format!("dalston:workers:{engine_id}"),
        }
    }

    pub(super) fn length_ms(&self) -> u64 {
        self.length.as_millis() as u64
    }

    /// Whether the dead are to be looked after, which was done last at this time. For a lease after an outage
    /// nobody is taken for dead: the living renew their leases first.
    pub(super) fn is_time_for_the_dead(&self, last: Option<Instant>, server: &Server) -> bool {
        last.is_none_or(|last| last.elapsed() >= self.length / 3)
            && server.is_steady_for(self.length)
    }

    /// Takes the worker id. One that somebody holds is watched for up to a lease: when it lapses this
    /// is the restart of a dead worker, when it is renewed this is a twin.
    pub(super) async fn take(&self, server: &Server) -> Result<(), QueueError> {
        let script = Script::new(include_str!("join.lua"));
        let mut join = script.prepare_invoke();
        join.key(&self.heartbeat).key(&self.workers);
        join.arg(&self.nonce)
            .arg(self.length_ms())
            .arg(&self.worker);
        // The holder may run with a longer lease than this process.
        let mut left: u64 = server.run(&join).await?;
        let end = Instant::now() + Duration::from_millis(left) + self.length;
        while left > 0 {
            let pause = Duration::from_millis(left).min(self.length / 10);
            sleep(pause + Duration::from_millis(1)).await;
            let now_left = server.run(&join).await?;
            if now_left > left || Instant::now() > end {
                return Err(QueueError::Superseded);
            }
            left = now_left;
        }
        Ok(())
    }
}

/// What the heartbeats of all of an engine's workers begin with.
pub(super) fn heartbeat_prefix(engine_id: &str) -> String {
    format!("dalston:heartbeat:{engine_id}:")
}
