//! Tasks in a Redis stream, as Dalston has it today.
//!
//! An entry that is read stays in the group's list of pending entries under the worker's name until it
//! is acknowledged, which happens in the script that publishes the task's end. While it works, a worker
//! resets the idle time of its entries well within a lease; an entry of such a worker that is idle for
//! longer may be claimed by any other. Engines of Dalston's own that read the same stream are judged by
//! Dalston's rule.

use std::time::Duration;

use async_trait::async_trait;
use redis::{Script, ScriptInvocation};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::held::Held;
use super::keys::{DELIVERIES_KEPT_S, EVENTS, TASK, deliveries_prefix};
use super::lease::Lease;
use super::scripts::Scripts;
use super::server::{Fields, SHORTEST_WAIT, Server};
use super::{Claim, Event, Queue, QueueError, Record};

/// The group that all engines read in.
const GROUP: &str = "engines";

/// The events that are kept, and how many of them; the length that Dalston's own engines ask for.
const EVENT_STREAM: &str = "dalston:events:stream";
const MAX_EVENTS: u64 = 10_000;

/// Jobs that were cancelled.
const CANCELLED: &str = "dalston:job:cancelled:";

/// Tasks whose engine was not there when they were queued.
const WAITING_TASKS: &str = "dalston:waiting_engine_tasks";

/// The registry of engines.
const INSTANCE: &str = "dalston:engine:instance:";
const INSTANCES: &str = "dalston:engine:instances";
const BY_ENGINE: &str = "dalston:engine:engine_id:";
const BY_STAGE: &str = "dalston:engine:stage:";

/// A record that is not written again lapses.
const RECORD_KEPT_S: i64 = 60;

/// One worker's membership in the stream of an engine.
#[derive(Debug)]
pub struct StreamQueue {
    server: Server,
    lease: Lease,
    held: Held,
    engine_id: String,
    stream: String,
    deliveries_prefix: String,
    scripts: Scripts,
    /// The stage that this worker is registered under.
    stage: Mutex<Option<String>>,
    /// One claim at a time, and when the dead were last looked after.
    turn: Mutex<Option<Instant>>,
}

/// An entry as `claim.lua` returns it: id, fields, deliveries, the task's hash, whether to discard it.
type Taken = (String, Fields, u32, Fields, bool);

impl StreamQueue {
    /// The stream of `engine_id` on the server at `url`, for the consumer called `instance`. Connects
    /// to nothing yet.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unsuitable`] if the URL is none.
    pub fn new(
        url: &str,
        engine_id: &str,
        instance: &str,
        lease: Duration,
    ) -> Result<Self, QueueError> {
        Ok(Self {
            server: Server::new(url)?,
            lease: Lease::new(engine_id, instance, lease),
            held: Held::default(),
            engine_id: engine_id.to_owned(),
            stream: format!("dalston:stream:{engine_id}"),
            deliveries_prefix: deliveries_prefix(engine_id),
            scripts: Scripts::of_stream(),
            stage: Mutex::new(None),
            turn: Mutex::new(None),
        })
    }

    /// Takes what is there, without waiting.
    async fn take(&self, looked_after: &mut Option<Instant>) -> Result<Option<Claim>, QueueError> {
        let due = self.lease.is_time_for_the_dead(*looked_after, &self.server);
        let mut claim = self.scripts.claim.prepare_invoke();
        claim.key(&self.lease.heartbeat).key(&self.stream);
        claim.key(&self.lease.workers);
        claim.arg(&self.lease.nonce).arg(self.lease.length_ms());
        claim.arg(&self.lease.worker).arg(GROUP).arg(TASK);
        claim.arg(&self.deliveries_prefix).arg(CANCELLED);
        claim.arg(INSTANCE).arg(u8::from(due));
        for id in self.held.ids() {
            claim.arg(&*id);
        }
        let taken: Option<Taken> = self.server.run(&claim).await?;
        // One of the dead's tasks at a time; the others are somebody's as soon as he has a hand free.
        if due && taken.is_none() {
            *looked_after = Some(Instant::now());
        }
        let Some((entry, Fields(mut message), deliveries, Fields(metadata), cancelled)) = taken
        else {
            return Ok(None);
        };
        Ok(Some(Claim {
            receipt: self.held.take(&entry),
            task_id: message.remove("task_id").unwrap_or_default(),
            deliveries,
            message,
            metadata,
            cancelled,
        }))
    }

    /// Ends a task, with an event or without.
    async fn end(&self, claim: &Claim, event: Option<&Event>) -> Result<(), QueueError> {
        let mut finish = self.about(&self.scripts.finish, claim);
        finish.key(EVENT_STREAM);
        finish.arg(EVENTS);
        finish.arg(event.map_or("", |event| &event.message));
        finish.arg(MAX_EVENTS);
        for (name, value) in event.iter().flat_map(|event| &event.fields) {
            finish.arg(name).arg(value);
        }
        self.server.run(&finish).await
    }

    /// A script about one claim: its first keys and arguments are always the same.
    fn about<'a>(&self, script: &'a Script, claim: &Claim) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(&self.lease.heartbeat).key(&self.stream);
        call.key(format!("{}{}", self.deliveries_prefix, claim.task_id));
        call.arg(&self.lease.nonce).arg(&self.lease.worker);
        call.arg(GROUP).arg(claim.receipt.as_str());
        call
    }

    /// The sets of the registry that list this worker.
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
        self.lease.take(&self.server).await
    }

    async fn claim(&self, patience: Duration) -> Result<Option<Claim>, QueueError> {
        let mut looked_after = self.turn.lock().await;
        if let Some(claim) = self.take(&mut looked_after).await? {
            return Ok(Some(claim));
        }
        // What is read here is a doorbell; `take` finds it among the pending entries.
        let patience = patience.min(self.lease.length / 2).max(SHORTEST_WAIT);
        let mut wait = redis::cmd("XREADGROUP");
        wait.arg("GROUP").arg(GROUP).arg(&self.lease.worker);
        wait.arg("COUNT").arg(1);
        wait.arg("BLOCK").arg(patience.as_millis() as u64);
        wait.arg("STREAMS").arg(&self.stream).arg(">");
        match self.server.wait(&wait, patience).await {
            // The group is gone, and made anew by `take`.
            Ok(()) | Err(QueueError::NotHeld) => {}
            Err(err) => return Err(err),
        }
        self.take(&mut looked_after).await
    }

    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError> {
        let mut start = self.about(&self.scripts.start, claim);
        start.key(EVENT_STREAM);
        start.key(format!("{TASK}{}", claim.task_id));
        start.key(WAITING_TASKS);
        start.arg(&claim.task_id);
        start.arg(claim.deliveries + 1).arg(DELIVERIES_KEPT_S);
        start.arg(EVENTS).arg(&started.message).arg(MAX_EVENTS);
        for (name, value) in &started.fields {
            start.arg(name).arg(value);
        }
        self.server.run(&start).await
    }

    async fn finish(&self, claim: &Claim, ended: &Event) -> Result<(), QueueError> {
        self.end(claim, Some(ended)).await
    }

    async fn discard(&self, claim: &Claim) -> Result<(), QueueError> {
        self.end(claim, None).await
    }

    async fn put_back(&self, claim: &Claim) -> Result<(), QueueError> {
        let mut put_back = self.about(&self.scripts.put_back, claim);
        put_back.arg(claim.deliveries).arg(DELIVERIES_KEPT_S);
        self.server.run(&put_back).await
    }

    async fn renew(&self) -> Result<Vec<String>, QueueError> {
        let mut renew = self.scripts.renew.prepare_invoke();
        renew.key(&self.lease.heartbeat).key(&self.stream);
        renew.key(&self.lease.workers);
        renew.arg(&self.lease.nonce).arg(self.lease.length_ms());
        renew.arg(&self.lease.worker).arg(GROUP);
        for id in self.held.ids() {
            renew.arg(&*id);
        }
        self.server.run(&renew).await
    }

    async fn register(&self, record: &Record) -> Result<(), QueueError> {
        let instance = format!("{INSTANCE}{}", self.lease.worker);
        let mut write = redis::pipe();
        write.atomic();
        write.hset_multiple(&instance, &record.fields);
        write.expire(&instance, RECORD_KEPT_S);
        for set in self.registry_sets(&record.stage) {
            write.sadd(set, &self.lease.worker);
        }
        *self.stage.lock().await = Some(record.stage.clone());
        self.server.run_all(&write).await
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
        leave.arg(GROUP);
        self.server.run(&leave).await
    }

    fn lease(&self) -> Duration {
        self.lease.length
    }
}
