//! Tasks in a Redis list, as in Dalston's M22 era, but so that no task is lost.
//!
//! Dalston's own engines pop a task and hold it in memory alone. Here the task moves in one step from the
//! queue to the list `dalston:processing:{engine_id}:{worker}`, and the script that publishes its end
//! removes it. A worker that dies leaves its list behind. Once its heartbeat key has lapsed, any other
//! worker moves the tasks of that list back to the front of the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Script, ScriptInvocation};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::claim::{Claim, Ending, Event, PutBack, Queue, QueueError, Record};
use super::held::Held;
use super::keeping;
use super::keys::{EVENTS, KEPT_S, TASK, attempts_prefix, ended_prefix};
use super::lease::{Lease, heartbeat_prefix};
use super::scripts::Scripts;
use super::server::{Attempts, Fields, SHORTEST_WAIT, Server};

/// How long an event without a subscriber is published again, in seconds: as long as Dalston keeps a task.
const REPEAT_S: u64 = 24 * 60 * 60;

/// Most events without a subscriber that are kept: about 3 MB.
const MAX_UNHEARD: u64 = 10_000;

/// One worker's membership in the list of an engine.
#[derive(Debug)]
pub struct ListQueue {
    server: Server,
    /// The same server for [`renew`](Queue::renew) and [`register`](Queue::register), whose calls come from a
    /// runtime of their own: busy slots delay no heartbeat.
    heartbeat_server: Server,
    lease: Lease,
    allow_eviction: bool,
    held: Held,
    keys: Keys,
    scripts: Scripts,
    /// Held by the one slot that claims; its value is when the tasks of dead workers were last reclaimed.
    ///
    /// One claim at a time: between the script's answer and the receipt in `held`, a second claim would take
    /// the same task for one that no claim holds, and hand it out again.
    turn: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Keys {
    queue: String,
    processing_prefix: String,
    processing: String,
    heartbeat_prefix: String,
    attempts_prefix: String,
    ended_prefix: String,
    /// The sorted set of the tasks in flight, by when they were last known to be: what an autoscaler counts
    /// besides the queue.
    working: String,
    unheard: String,
}

impl ListQueue {
    /// The list of `engine_id` on the server at `url`, for the worker called `worker`. Connects to
    /// nothing yet.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unsuitable`] if `url` is no address of a Redis server.
    pub fn new(
        url: &str,
        engine_id: &str,
        worker: &str,
        lease: Duration,
    ) -> Result<Self, QueueError> {
        let processing_prefix = format!("dalston:processing:{engine_id}:");
        let server = Server::new(url)?;
        Ok(Self {
            heartbeat_server: server.apart(url)?,
            server,
            lease: Lease::new(engine_id, worker, lease),
            allow_eviction: false,
            held: Held::default(),
            keys: Keys {
                queue: format!("dalston:queue:{engine_id}"),
                processing: format!("{processing_prefix}{worker}"),
                processing_prefix,
                heartbeat_prefix: heartbeat_prefix(engine_id),
                attempts_prefix: attempts_prefix(engine_id),
                ended_prefix: ended_prefix(engine_id),
                working: format!("dalston:working:{engine_id}"),
                unheard: format!("dalston:unheard:{engine_id}"),
            },
            scripts: Scripts::of_list(),
            turn: Mutex::new(None),
        })
    }

    /// Sets whether to join a server that may evict keys, and so lose tasks; false by default.
    #[must_use]
    pub fn allow_eviction(mut self, allow_eviction: bool) -> Self {
        self.allow_eviction = allow_eviction;
        self
    }

    /// Takes the next task, if there is one; does not wait.
    async fn take(&self, reclaimed_at: &mut Option<Instant>) -> Result<Option<Claim>, QueueError> {
        let due = self.lease.is_reclaim_due(*reclaimed_at, &self.server);
        let mut claim = self.scripts.claim.prepare_invoke();
        claim.key(&self.lease.heartbeat).key(&self.keys.queue);
        claim.key(&self.keys.processing).key(&self.lease.workers);
        claim.key(&self.keys.working);
        claim.arg(&self.lease.nonce).arg(self.lease.length_ms());
        claim.arg(&self.lease.worker);
        claim.arg(&self.keys.heartbeat_prefix);
        claim.arg(&self.keys.processing_prefix);
        claim.arg(TASK).arg(&self.keys.attempts_prefix);
        claim.arg(u8::from(due));
        // The script hands out again what this worker has and does not list here: the answer of an earlier
        // claim may have got lost.
        claim.arg(self.held.ids());
        let asked_at = Instant::now();
        let taken: Option<(Vec<u8>, Attempts, Fields)> = self.server.run(&claim).await?;
        // After the answer: a call that failed has reclaimed nothing, or will be repeated without harm.
        if due {
            *reclaimed_at = Some(Instant::now());
        }
        let Some((task_id, attempts, Fields(metadata))) = taken else {
            return Ok(None);
        };
        let task_id = match String::from_utf8(task_id) {
            Ok(task_id) => task_id,
            Err(err) => {
                self.drop_entry(err.as_bytes()).await?;
                return Ok(None);
            }
        };
        Ok(Some(Claim {
            receipt: self.held.issue(&task_id, &task_id, asked_at),
            task_id,
            deliveries: attempts.deliveries,
            deferrals: attempts.deferrals,
            deferred_for: attempts.deferred_for,
            was_started: attempts.was_started,
            message: BTreeMap::new(),
            metadata,
            cancelled: false,
        }))
    }

    /// Removes an entry that is no text.
    ///
    /// No task has such an id, so no event can name it. If the entry stayed next in line, every worker
    /// would claim it first and never reach the tasks behind it.
    async fn drop_entry(&self, entry: &[u8]) -> Result<(), QueueError> {
        let shown = &entry[..entry.len().min(64)];
        tracing::error!(entry = %shown.escape_ascii(), "queue_entry_dropped");
        // From this worker's list, into which the claiming script has just moved the entry.
        let mut remove = redis::pipe();
        remove.lrem(&self.keys.processing, 1, entry);
        self.server.run_all(&remove).await
    }

    /// Ends a task; publishes an event unless it is empty.
    async fn end(&self, claim: &Claim, event: &str, ending: Ending) -> Result<(), QueueError> {
        let mut finish = self.about(&self.scripts.finish, claim);
        finish.key(&self.lease.workers).key(&self.keys.unheard);
        finish.arg(self.lease.token(claim)).arg(KEPT_S);
        finish.arg(u8::from(claim.receipt.is_kept(self.lease.length)));
        finish
            .arg(ending.as_str())
            .arg(&self.keys.processing_prefix);
        finish.arg(EVENTS).arg(event).arg(MAX_UNHEARD);
        self.server.run(&finish).await
    }

    /// Prepares a script about one claim, with the keys and arguments that all such scripts share.
    fn about<'a>(&self, script: &'a Script, claim: &Claim) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(&self.lease.heartbeat).key(&self.keys.processing);
        call.key(format!("{}{}", self.keys.attempts_prefix, claim.task_id));
        call.key(format!("{}{}", self.keys.ended_prefix, claim.task_id));
        call.key(&self.keys.working).key(&self.keys.queue);
        call.arg(&self.lease.nonce).arg(&claim.task_id);
        call
    }
}

#[async_trait]
impl Queue for ListQueue {
    async fn join(&self) -> Result<(), QueueError> {
        keeping::check(&self.server, self.allow_eviction).await?;
        self.lease.acquire(&self.server).await
    }

    async fn claim(&self, max_wait: Duration) -> Result<Option<Claim>, QueueError> {
        let mut reclaimed_at = self.turn.lock().await;
        if let Some(claim) = self.take(&mut reclaimed_at).await? {
            return Ok(Some(claim));
        }
        // Half a lease at most. If this process dies in the wait, the server ends the wait before
        // the lease lapses, so it moves no task into a list that others have already emptied.
        //
        // The answer's value is ignored, because it may get lost with the connection. BLMOVE only wakes
        // this worker and moves the task into its list, where `take` finds it as a task that no claim
        // holds.
        let max_wait = max_wait.min(self.lease.length / 2).max(SHORTEST_WAIT);
        let mut wait = redis::cmd("BLMOVE");
        wait.arg(&self.keys.queue).arg(&self.keys.processing);
        wait.arg("RIGHT").arg("LEFT").arg(max_wait.as_secs_f64());
        self.server.wait(&wait, max_wait).await?;
        self.take(&mut reclaimed_at).await
    }

    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError> {
        let mut start = self.about(&self.scripts.start, claim);
        start.arg(KEPT_S).arg(EVENTS).arg(&started.message);
        self.server.run(&start).await
    }

    async fn finish(&self, claim: &Claim, ended: &Event, ending: Ending) -> Result<(), QueueError> {
        self.end(claim, &ended.message, ending).await
    }

    async fn discard(&self, claim: &Claim) -> Result<(), QueueError> {
        self.end(claim, "", Ending::Completed).await
    }

    async fn put_back(&self, claim: &Claim, place: PutBack) -> Result<(), QueueError> {
        let mut put_back = self.about(&self.scripts.put_back, claim);
        put_back.arg(place.deferrals(claim)).arg(place.delay_ms());
        put_back.arg(KEPT_S);
        self.server.run(&put_back).await
    }

    async fn renew(&self) -> Result<Vec<String>, QueueError> {
        let mut renew = self.scripts.renew.prepare_invoke();
        renew.key(&self.lease.heartbeat).key(&self.lease.workers);
        renew.key(&self.keys.processing).key(&self.keys.unheard);
        renew.key(&self.keys.working).key(&self.keys.queue);
        renew.arg(&self.lease.nonce).arg(self.lease.length_ms());
        renew.arg(&self.lease.worker).arg(EVENTS).arg(REPEAT_S);
        renew.arg(&self.keys.processing_prefix);
        renew.arg(&self.keys.ended_prefix);
        let holdings = self.held.holdings(self.lease.length);
        for holding in &holdings {
            renew.arg(&holding.id).arg(u8::from(holding.is_kept));
        }
        let asked_at = Instant::now();
        let lost: Vec<usize> = self.heartbeat_server.run(&renew).await?;
        Ok(self.lease.renewed(&holdings, &lost, asked_at))
    }

    async fn register(&self, _: &Record) -> Result<(), QueueError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), QueueError> {
        let mut leave = self.scripts.leave.prepare_invoke();
        leave.key(&self.lease.heartbeat).key(&self.lease.workers);
        leave.key(&self.keys.processing).key(&self.keys.queue);
        leave.key(&self.keys.working);
        leave.arg(&self.lease.nonce).arg(&self.lease.worker);
        self.server.run(&leave).await
    }

    fn lease(&self) -> Duration {
        self.lease.length
    }
}
