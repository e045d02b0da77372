//! Receives the engines' events as Dalston's orchestrator does, each with the time of its arrival.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Commands as _, Connection};
use serde_json::Value;

use crate::contract::Contract;
use crate::program::wait_until;
use crate::redis_server::RedisServer;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `task.started`, which may come more than once for a task.
    Started,
    /// `task.completed`.
    Completed,
    /// `task.failed`.
    Failed,
}

/// One event of an engine.
#[derive(Clone, Debug)]
pub struct Event {
    /// The kind.
    pub kind: EventKind,
    /// The task that the event is about.
    pub task_id: String,
    /// The whole event; in streams its payload.
    pub body: Value,
    /// The time of its arrival.
    pub at: Instant,
}

impl Event {
    /// The error message of a failed task.
    pub fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }
}

/// Collects every event that is sent after [`Listener::start`] has returned, in a thread.
///
/// The contracts with lists publish events, and only clients that are subscribed at that moment receive them.
/// The contract with streams stores events; the listener reads the stream from its beginning.
#[derive(Debug)]
pub struct Listener {
    events: Arc<Mutex<Vec<Event>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Reads each event of a listener once.
#[derive(Debug)]
pub(crate) struct Feed {
    events: Arc<Mutex<Vec<Event>>>,
    n_taken: usize,
}

impl Feed {
    /// The events that have arrived since the last call.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        let events = self.events.lock().expect("no holder panics");
        let new = events[self.n_taken..].to_vec();
        self.n_taken = events.len();
        new
    }
}

/// How long the thread waits for an event before it checks whether it should end.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Listener {
    /// Starts the thread, and returns when the thread is subscribed: no event after that is lost.
    pub fn start(contract: Contract, redis: &RedisServer) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let connection = redis.connect();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn({
            let (events, over) = (Arc::clone(&events), Arc::clone(&over));
            let on_event = move |body: Value, kind: &str| {
                let Some(kind) = event_kind(kind) else { return };
                let task_id = body["task_id"].as_str().unwrap_or_default().to_owned();
                let at = Instant::now();
                let event = Event {
                    kind,
                    task_id,
                    body,
                    at,
                };
                events.lock().expect("no holder panics").push(event);
            };
            move || match contract {
                Contract::M22 | Contract::M22Typed => {
                    subscribe(connection, &ready, &over, on_event)
                }
                Contract::Streams => follow(connection, &ready, &over, on_event),
            }
        });
        is_ready.recv().expect("the thread reports that it listens");
        Self {
            events,
            over,
            thread: Some(thread),
        }
    }

    /// A reader of the events from the first one on.
    pub(crate) fn feed(&self) -> Feed {
        Feed {
            events: Arc::clone(&self.events),
            n_taken: 0,
        }
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no holder panics").clone()
    }

    /// The number of tasks that have completed or failed.
    pub fn n_ended(&self) -> usize {
        self.ends().len()
    }

    /// The events `completed` and `failed` of each task. A correct engine sends one for each task.
    pub fn ends(&self) -> HashMap<String, Vec<Event>> {
        let mut ends: HashMap<_, Vec<_>> = HashMap::new();
        for event in self.events() {
            if event.kind != EventKind::Started {
                ends.entry(event.task_id.clone()).or_default().push(event);
            }
        }
        ends
    }

    /// The number of events `started` of each task.
    pub fn starts(&self) -> HashMap<String, usize> {
        let mut starts = HashMap::new();
        for event in self.events() {
            if event.kind == EventKind::Started {
                *starts.entry(event.task_id).or_default() += 1;
            }
        }
        starts
    }

    /// Waits for the first event of this kind about this task.
    #[track_caller]
    pub fn wait_for(&self, kind: EventKind, task_id: &str, limit: Duration) -> Event {
        let mut found = None;
        wait_until(limit, || {
            let mut events = self.events().into_iter();
            found = events.find(|event| event.kind == kind && event.task_id == task_id);
            found.is_some()
        });
        found.unwrap_or_else(|| {
            panic!(
                "no {kind:?} of {task_id} in {limit:?}, only {:?}",
                self.events()
            )
        })
    }

    /// Waits until this many tasks have completed or failed.
    #[track_caller]
    pub fn wait_for_ends(&self, n_tasks: usize, limit: Duration) {
        let done = wait_until(limit, || self.n_ended() >= n_tasks);
        assert!(
            done,
            "{} of {n_tasks} tasks ended in {limit:?}",
            self.n_ended()
        );
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn subscribe(
    mut connection: Connection,
    ready: &Sender<()>,
    over: &AtomicBool,
    on_event: impl Fn(Value, &str),
) {
    let mut channel = connection.as_pubsub();
    channel
        .set_read_timeout(Some(POLL_INTERVAL))
        .expect("the time is not zero");
    channel
        .subscribe("dalston:events")
        .expect("the server answers");
    ready.send(()).expect("`start` waits for this message");
    while !over.load(Ordering::Relaxed) {
        let Ok(message) = channel.get_message() else {
            continue;
        };
        let body: Value =
            serde_json::from_slice(message.get_payload_bytes()).expect("an event is JSON");
        let kind = body["type"].as_str().unwrap_or_default().to_owned();
        on_event(body, &kind);
    }
}

fn follow(
    mut connection: Connection,
    ready: &Sender<()>,
    over: &AtomicBool,
    on_event: impl Fn(Value, &str),
) {
    let options = StreamReadOptions::default().block(POLL_INTERVAL.as_millis() as usize);
    let mut last = "0".to_owned();
    ready.send(()).expect("`start` waits for this message");
    while !over.load(Ordering::Relaxed) {
        let read = connection.xread_options(&["dalston:events:stream"], &[&last], &options);
        let Ok(Some(reply)) = read as redis::RedisResult<Option<StreamReadReply>> else {
            // The server is stopped for a while, or has ended.
            thread::sleep(POLL_INTERVAL);
            continue;
        };
        for entry in reply.keys.into_iter().flat_map(|stream| stream.ids) {
            let field = |name: &str| -> String { entry.get(name).unwrap_or_default() };
            let body = serde_json::from_str(&field("payload")).expect("a payload is JSON");
            on_event(body, &field("type"));
            last.clone_from(&entry.id);
        }
    }
}

fn event_kind(name: &str) -> Option<EventKind> {
    match name {
        "task.started" => Some(EventKind::Started),
        "task.completed" => Some(EventKind::Completed),
        "task.failed" => Some(EventKind::Failed),
        _ => None,
    }
}
