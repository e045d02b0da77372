//! The lease of a worker id: one process at a time has the id, for as long as it renews the lease.
//!
//! The lease is the heartbeat key, whose value is the nonce of the process and which lapses by itself. Every
//! script of a worker first compares the nonce, so a process whose id another one has taken changes nothing
//! more.

use std::time::Duration;

use redis::Script;
use tokio::time::{Instant, sleep};

use super::claim::{Claim, QueueError};
use super::held::Holding;
use super::server::Server;

/// The lease of one process.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) worker: String,
    /// Unique to this process: tells it from an earlier or a second process of the same worker id.
    pub(super) nonce: String,
    pub(super) length: Duration,
    /// The heartbeat key, which lapses when the worker does not renew it.
    pub(super) heartbeat: String,
    /// The sorted set of all workers of the engine, by the time of their last heartbeat.
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

    /// Whether to reclaim the tasks of dead workers now; `last` is when it was last done.
    ///
    /// Once in a third of a lease is enough. For one lease after an outage of the server no worker counts as dead:
    /// leases lapsed while nobody could renew them, and the living renew theirs first.
    pub(super) fn is_reclaim_due(&self, last: Option<Instant>, server: &Server) -> bool {
        last.is_none_or(|last| last.elapsed() >= self.length / 3)
            && server.is_steady_for(self.length)
    }

    /// What marks an end as reported by this claim.
    pub(super) fn token(&self, claim: &Claim) -> String {
        format!("{}/{}", self.nonce, claim.receipt.number())
    }

    /// Records an answered renewal that was asked for at `asked_at`. Returns the receipts of the `lost`
    /// claims, which the scripts number from 1.
    pub(super) fn renewed(
        &self,
        holdings: &[Holding],
        lost: &[usize],
        asked_at: Instant,
    ) -> Vec<String> {
        for holding in holdings {
            holding.renewed(asked_at, self.length);
        }
        let receipts = lost.iter().filter_map(|number| holdings.get(number - 1));
        receipts.map(|holding| holding.receipt.clone()).collect()
    }

    /// Acquires the worker id.
    ///
    /// If another process holds the id, its lease is watched for up to one lease. A lease that lapses was
    /// that of a dead process, and this process is its restart. A lease that is renewed belongs to a living
    /// process, and this one must not start.
    pub(super) async fn acquire(&self, server: &Server) -> Result<(), QueueError> {
        let script = Script::new(include_str!("join.lua"));
        let mut join = script.prepare_invoke();
        join.key(&self.heartbeat).key(&self.workers);
        join.arg(&self.nonce)
            .arg(self.length_ms())
            .arg(&self.worker);
        // The remaining time and not this process's lease length: the holder may use a longer lease.
        // 0 means that the id was free, or was this process's already.
        let mut left: u64 = server.run(&join).await?;
        let end = Instant::now() + Duration::from_millis(left) + self.length;
        while left > 0 {
            // Several looks per lease, so that a renewal is seen soon. Each look takes the id if it is free.
            let pause = Duration::from_millis(left).min(self.length / 10);
            // One more millisecond, so that the key has lapsed when its remaining time is over.
            sleep(pause + Duration::from_millis(1)).await;
            let now_left = server.run(&join).await?;
            // The remaining time only falls unless the holder renews.
            if now_left > left || Instant::now() > end {
                return Err(QueueError::Superseded);
            }
            left = now_left;
        }
        Ok(())
    }
}

/// Prefix of the heartbeat keys of an engine's workers.
pub(super) fn heartbeat_prefix(engine_id: &str) -> String {
    format!("dalston:heartbeat:{engine_id}:")
}
