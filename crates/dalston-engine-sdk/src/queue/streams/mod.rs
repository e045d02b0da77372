//! Tasks in a Redis stream, as in today's Dalston.
//!
//! An entry that was read stays pending under the worker's name in the group until the script that publishes
//! the task's end acknowledges it. A worker's heartbeat resets the idle time of its entries three times a
//! lease, so an entry that is idle for a whole lease belongs to a dead worker, and any other may claim it.
//! Dalston's own engines, which may read the same stream, send no such heartbeat: Dalston's own rule decides
//! when they are dead.

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

/// The consumer group of all engines.
const GROUP: &str = "engines";

/// The stream of events, and its approximate length; Dalston's own engines set the same length.
const EVENT_STREAM: &str = "dalston:events:stream";
const MAX_EVENTS: u64 = 10_000;

/// Prefix of the keys that mark cancelled jobs.
const CANCELLED: &str = "dalston:job:cancelled:";

/// The set of tasks that were queued while no engine was there for them.
const WAITING_TASKS: &str = "dalston:waiting_engine_tasks";

/// The registry of engines.
const INSTANCE: &str = "dalston:engine:instance:";
const INSTANCES: &str = "dalston:engine:instances";
const BY_ENGINE: &str = "dalston:engine:engine_id:";
const BY_STAGE: &str = "dalston:engine:stage:";

/// Lifetime of a registry record after each write, in seconds.
const RECORD_KEPT_S: i64 = 60;

/// One worker's membership in the stream of an engine.
#[derive(Debug)]
pub struct StreamQueue {
    server: Server,
    /// The same server for [`renew`](Queue::renew) and [`register`](Queue::register), whose calls come from a
    /// runtime of their own: busy slots delay no heartbeat.
    heartbeat_server: Server,
    lease: Lease,
    allow_eviction: bool,
    held: Held,
    engine_id: String,
    stream: String,
    attempts_prefix: String,
    ended_prefix: String,
    heartbeat_prefix: String,
    scripts: Scripts,
    /// The stage that this worker is registered under.
    stage: Mutex<Option<String>>,
    /// Held by the one slot that claims; its value is when the tasks of dead workers were last reclaimed.
    ///
    /// One claim at a time: between the script's answer and the receipt in `held`, a second claim would take
    /// the same task for one that no claim holds, and hand it out again.
    turn: Mutex<Option<Instant>>,
}

/// An entry as `claim.lua` returns it: id, fields, attempts, the task's hash, whether to discard it.
type Taken = (String, Fields, Attempts, Fields, bool);

impl StreamQueue {
    /// The stream of `engine_id` on the server at `url`, for the consumer called `instance`. Connects
    /// to nothing yet.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unsuitable`] if `url` is no address of a Redis server.
    pub fn new(
        url: &str,
        engine_id: &str,
        instance: &str,
        lease: Duration,
    ) -> Result<Self, QueueError> {
        let server = Server::new(url)?;
        Ok(Self {
            heartbeat_server: server.apart(url)?,
            server,
            lease: Lease::new(engine_id, instance, lease),
            allow_eviction: false,
            held: Held::default(),
            engine_id: engine_id.to_owned(),
            stream: format!("dalston:stream:{engine_id}"),
            attempts_prefix: attempts_prefix(engine_id),
            ended_prefix: ended_prefix(engine_id),
            heartbeat_prefix: heartbeat_prefix(engine_id),
            scripts: Scripts::of_stream(),
            stage: Mutex::new(None),
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
        claim.key(&self.lease.heartbeat).key(&self.stream);
        claim.key(&self.lease.workers);
        claim.arg(&self.lease.nonce).arg(self.lease.length_ms());
        claim.arg(&self.lease.worker).arg(GROUP).arg(TASK);
        claim.arg(&self.attempts_prefix).arg(CANCELLED);
        claim.arg(INSTANCE).arg(u8::from(due));
        // The script hands out again what this worker has and does not list here: the answer of an earlier
        // claim may have got lost.
        claim.arg(self.held.ids());
        let asked_at = Instant::now();
        let taken: Option<Taken> = self.server.run(&claim).await?;
        // The script hands out one task of a dead worker per call. Only a call that finds none ends the
        // reclaiming, so that the next call looks again at once.
        if due && taken.is_none() {
            *reclaimed_at = Some(Instant::now());
        }
        let Some((entry, Fields(mut message), attempts, Fields(metadata), cancelled)) = taken
        else {
            return Ok(None);
        };
        let task_id = message.remove("task_id").unwrap_or_default();
        Ok(Some(Claim {
            receipt: self.held.issue(&entry, &task_id, asked_at),
            task_id,
            deliveries: attempts.deliveries,
            deferrals: attempts.deferrals,
            deferred_for: attempts.deferred_for,
            was_started: attempts.was_started,
            message,
            metadata,
            cancelled,
        }))
    }

    /// Ends a task; publishes an event if there is one.
    async fn end(
        &self,
        claim: &Claim,
        event: Option<&Event>,
        ending: Ending,
    ) -> Result<(), QueueError> {
        let mut finish = self.about(&self.scripts.finish, claim);
        finish.key(EVENT_STREAM);
        finish.arg(self.lease.token(claim)).arg(KEPT_S);
        finish.arg(u8::from(claim.receipt.is_kept(self.lease.length)));
        finish.arg(ending.as_str()).arg(EVENTS);
        finish.arg(event.map_or("", |event| &event.message));
        finish.arg(MAX_EVENTS);
        for (name, value) in event.iter().flat_map(|event| &event.fields) {
            finish.arg(name).arg(value);
        }
        self.server.run(&finish).await
    }

    /// Prepares a script about one claim, with the keys and arguments that all such scripts share.
    fn about<'a>(&self, script: &'a Script, claim: &Claim) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(&self.lease.heartbeat).key(&self.stream);
        call.key(format!("{}{}", self.attempts_prefix, claim.task_id));
        call.key(format!("{}{}", self.ended_prefix, claim.task_id));
        call.arg(&self.lease.nonce).arg(&self.lease.worker);
        call.arg(GROUP).arg(claim.receipt.id());
        call
    }

    /// The keys of the registry's sets that list this worker.
    fn registry_sets(&self, stage: &str) -> [String; 3] {
        [
            INSTANCES.to_owned(),
            format!("{BY_ENGINE}{}", self.engine_id),
            format!("{BY_STAGE}{stage}"),
        ]
    }
}

#[async_trait]
impl Queue for StreamQueue {
    async fn join(&self) -> Result<(), QueueError> {
        keeping::check(&self.server, self.allow_eviction).await?;
        self.lease.acquire(&self.server).await
    }

    async fn claim(&self, max_wait: Duration) -> Result<Option<Claim>, QueueError> {
        let mut reclaimed_at = self.turn.lock().await;
        if let Some(claim) = self.take(&mut reclaimed_at).await? {
            return Ok(Some(claim));
        }
        // The answer's value is ignored, because it may get lost with the connection. XREADGROUP only wakes
        // this worker and makes the entry pending under its name, where `take` finds it as an entry that no
        // claim holds.
        let max_wait = max_wait.min(self.lease.length / 2).max(SHORTEST_WAIT);
        let mut wait = redis::cmd("XREADGROUP");
        wait.arg("GROUP").arg(GROUP).arg(&self.lease.worker);
        wait.arg("COUNT").arg(1);
        wait.arg("BLOCK").arg(max_wait.as_millis() as u64);
        wait.arg("STREAMS").arg(&self.stream).arg(">");
        match self.server.wait(&wait, max_wait).await {
            // The group does not exist (any more); `take` creates it.
            Ok(()) | Err(QueueError::NotHeld) => {}
            Err(err) => return Err(err),
        }
        self.take(&mut reclaimed_at).await
    }

    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError> {
        let mut start = self.about(&self.scripts.start, claim);
        start.key(EVENT_STREAM);
        start.key(format!("{TASK}{}", claim.task_id));
        start.key(WAITING_TASKS);
        start.arg(&claim.task_id).arg(KEPT_S);
        start.arg(EVENTS).arg(&started.message).arg(MAX_EVENTS);
        for (name, value) in &started.fields {
            start.arg(name).arg(value);
        }
        self.server.run(&start).await
    }

    async fn finish(&self, claim: &Claim, ended: &Event, ending: Ending) -> Result<(), QueueError> {
        self.end(claim, Some(ended), ending).await
    }

    async fn discard(&self, claim: &Claim) -> Result<(), QueueError> {
        self.end(claim, None, Ending::Completed).await
    }

    async fn put_back(&self, claim: &Claim, place: PutBack) -> Result<(), QueueError> {
        let mut put_back = self.about(&self.scripts.put_back, claim);
        put_back.arg(self.lease.length_ms());
        put_back.arg(place.deferrals(claim)).arg(place.delay_ms());
        put_back.arg(KEPT_S);
        self.server.run(&put_back).await
    }

    async fn renew(&self) -> Result<Vec<String>, QueueError> {
        let mut renew = self.scripts.renew.prepare_invoke();
        renew.key(&self.lease.heartbeat).key(&self.stream);
        renew.key(&self.lease.workers);
        renew.arg(&self.lease.nonce).arg(self.lease.length_ms());
        renew.arg(&self.lease.worker).arg(GROUP);
        renew.arg(&self.heartbeat_prefix).arg(INSTANCE);
        renew.arg(&self.ended_prefix);
        // Every heartbeat, so that what the dead left is idle for no more than about a lease and a third.
        let is_steady = self.heartbeat_server.is_steady_for(self.lease.length);
        renew.arg(u8::from(is_steady));
        let holdings = self.held.holdings(self.lease.length);
        for holding in &holdings {
            renew.arg(&holding.id).arg(&holding.task_id);
            renew.arg(u8::from(holding.is_kept));
        }
        let asked_at = Instant::now();
        let lost: Vec<usize> = self.heartbeat_server.run(&renew).await?;
        Ok(self.lease.renewed(&holdings, &lost, asked_at))
    }

    async fn register(&self, record: &Record) -> Result<(), QueueError> {
        let instance = format!("{INSTANCE}{}", self.lease.worker);
        let mut write = redis::pipe();
        // In one transaction: nobody sees a record without its lifetime, or a half of it.
        write.atomic();
        write.hset_multiple(&instance, &record.fields);
        write.expire(&instance, RECORD_KEPT_S);
        for set in self.registry_sets(&record.stage) {
            write.sadd(set, &self.lease.worker);
        }
        // Before the write: if its answer gets lost, `leave` still removes the worker from the stage's set.
        *self.stage.lock().await = Some(record.stage.clone());
        self.heartbeat_server.run_all(&write).await
    }

    async fn leave(&self) -> Result<(), QueueError> {
        let stage = self.stage.lock().await.clone();
        let mut leave = self.scripts.leave.prepare_invoke();
        leave.key(&self.lease.heartbeat).key(&self.stream);
        leave.key(format!("{INSTANCE}{}", self.lease.worker));
        for set in stage.iter().flat_map(|stage| self.registry_sets(stage)) {
            leave.key(set);
        }
        leave.arg(&self.lease.nonce).arg(&self.lease.worker);
        leave.arg(GROUP).arg(self.lease.length_ms());
        self.server.run(&leave).await
    }

    fn lease(&self) -> Duration {
        self.lease.length
    }
}
