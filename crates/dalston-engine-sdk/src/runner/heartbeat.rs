//! The worker's heartbeat: renews the lease, stops tasks that are lost, rewrites the registry's record.
//!
//! The heartbeat has a thread, a runtime and connections of its own. So no work of the slots delays it, even
//! if it blocks a thread of their runtime: a worker that lives keeps its lease.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::contexts::TaskContexts;
use super::runner::Runner;
use crate::contract::Protocol;
use crate::engine::StopReason;
use crate::queue::{Queue, QueueError};
use crate::status::StatusWriter;

/// Longest pause between two heartbeats, however long the lease: the registry keeps a record for 60 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Longest wait for a heartbeat under way when the heartbeat ends: longer than a call to the queue takes.
const LAST_BEAT: Duration = Duration::from_secs(6);

/// A heartbeat that goes on until this value is dropped, or until the queue refuses this process for good.
pub(super) struct Heartbeat {
    stop: oneshot::Sender<()>,
    /// The refusal; `None` after a stop.
    ended: oneshot::Receiver<Option<QueueError>>,
}

/// What a heartbeat works with.
struct Beat {
    queue: Arc<dyn Queue>,
    protocol: Arc<Protocol>,
    status: StatusWriter,
    contexts: Arc<TaskContexts>,
}

impl Heartbeat {
    /// Starts the heartbeat's thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread or runtime.
    pub(super) fn start(runner: &Runner) -> io::Result<Self> {
        let beat = Beat {
            queue: Arc::clone(&runner.queue),
            protocol: Arc::clone(&runner.protocol),
            status: runner.status.clone(),
            contexts: Arc::clone(&runner.contexts),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("heartbeat".into())
            .spawn(move || {
                let refusal = runtime.block_on(beat.repeat(stopped));
                // Fails if nobody waits for the end.
                let _ = end.send(refusal);
            })?;
        Ok(Self { stop, ended })
    }

    /// Waits until the queue refuses this process for good.
    ///
    /// # Errors
    ///
    /// The thread has ended without a refusal: it panicked.
    pub(super) async fn refusal(&mut self) -> io::Result<QueueError> {
        let refusal = (&mut self.ended).await.ok().flatten();
        refusal.ok_or_else(|| io::Error::other("the heartbeat's thread has ended"))
    }

    /// Ends the heartbeat, and waits for one that is under way: a heartbeat that comes after the worker has
    /// left the queue would make the worker look alive for one more lease.
    pub(super) async fn stop(self) {
        drop(self.stop);
        // A receiver that has told the thread's end panics if it is asked again.
        if !self.ended.is_terminated() {
            let _ = timeout(LAST_BEAT, self.ended).await;
        }
    }
}

impl Beat {
    /// Renews the lease until the queue refuses this process for good, or until a stop.
    ///
    /// Three heartbeats fit into a lease, so that one or two lost answers do not cost it. While the queue
    /// does not answer, a heartbeat comes ten times a lease: after an outage every living worker renews
    /// its lease before any worker takes over the tasks of the dead.
    async fn repeat(&self, mut stopped: oneshot::Receiver<()>) -> Option<QueueError> {
        let lease = self.queue.lease();
        loop {
            let pause = match self.renew_lease().await {
                Ok(()) => lease / 3,
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.status.queue_unavailable(&err);
                    lease / 10
                }
                Err(err) => return Some(err),
            };
            tokio::select! {
                _ = &mut stopped => return None,
                () = sleep(pause.min(LONGEST_PAUSE)) => {}
            }
        }
    }

    async fn renew_lease(&self) -> Result<(), QueueError> {
        let lost = self.queue.renew().await?;
        self.status.queue_answered(true);
        for receipt in lost {
            tracing::warn!(receipt, "task_lost");
            // The engine returns early, and the slot's next report to the queue finds the task gone. A
            // task that the runner has not passed to the engine needs no stop: its next report ends it
            // as well.
            self.contexts.stop(&receipt, StopReason::LeaseLost);
        }
        match self.protocol.record(&self.status.current()) {
            Some(record) => self.queue.register(&record).await,
            None => Ok(()),
        }
    }
}
