//! The orchestrator's side of a queue on a real Redis server, in plain commands.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;

use super::{Backend, LEASE};
use crate::queue::{ListQueue, Queue, StreamQueue};

/// A list or a stream of one engine on a Redis server.
pub struct RedisBackend {
    url: String,
    engine_id: String,
    kind: Kind,
    server: MultiplexedConnection,
    /// The messages that the channel has delivered so far.
    received: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    List,
    Stream,
}

impl RedisBackend {
    /// A list for an engine id that no other test uses, on the server at `url`.
    ///
    /// # Panics
    ///
    /// The server does not answer.
    pub async fn list(url: &str, engine_id: &str) -> Self {
        Self::new(url, engine_id, Kind::List).await
    }

    /// A stream for an engine id that no other test uses, on the server at `url`.
    ///
    /// The events are those of the whole server: run one test at a time, or give each test a server.
    ///
    /// # Panics
    ///
    /// The server does not answer.
    pub async fn streams(url: &str, engine_id: &str) -> Self {
        Self::new(url, engine_id, Kind::Stream).await
    }

    async fn new(url: &str, engine_id: &str, kind: Kind) -> Self {
        let client = redis::Client::open(url).expect("a URL");
        let mut events = client.get_async_pubsub().await.expect("a server");
        events.subscribe("dalston:events").await.expect("a channel");
        let received = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&received);
        tokio::spawn(async move {
            let mut messages = events.on_message();
            while let Some(message) = messages.next().await {
                let text = message.get_payload().expect("an event is text");
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
            }
        });
        let server = client.get_multiplexed_async_connection().await;
        Self {
            url: url.to_owned(),
            engine_id: engine_id.to_owned(),
            kind,
            server: server.expect("a server"),
            received,
        }
    }
}

#[async_trait]
impl Backend for RedisBackend {
    fn connect(&self, worker: &str) -> Arc<dyn Queue> {
        let (url, engine_id) = (&self.url, &self.engine_id);
        match self.kind {
            Kind::List => Arc::new(ListQueue::new(url, engine_id, worker, LEASE).expect("a URL")),
            Kind::Stream => {
                Arc::new(StreamQueue::new(url, engine_id, worker, LEASE).expect("a URL"))
            }
        }
    }

    async fn push(&self, task_id: &str) {
        let mut server = self.server.clone();
        let (hash, job) = (format!("dalston:task:{task_id}"), [("job_id", "job")]);
        let () = server.hset_multiple(hash, &job).await.expect("HSET");
        let () = match self.kind {
            Kind::List => {
                let queue = format!("dalston:queue:{}", self.engine_id);
                server.lpush(queue, task_id).await.expect("LPUSH")
            }
            Kind::Stream => {
                let stream = format!("dalston:stream:{}", self.engine_id);
                let fields = [("task_id", task_id), ("job_id", "job")];
                server.xadd(stream, "*", &fields).await.expect("XADD")
            }
        };
    }

    /// The stored events where the pipeline stores them, else the messages of the channel.
    async fn events(&self) -> Vec<String> {
        if self.kind == Kind::List {
            // The server answers a script before its subscribers have read the script's PUBLISH.
            tokio::time::sleep(LEASE / 12).await;
            return self
                .received
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
        }
        let mut server = self.server.clone();
        let stream = "dalston:events:stream";
        let kept: StreamRangeReply = server.xrange_all(stream).await.expect("XRANGE");
        let payload = |entry: &redis::streams::StreamId| entry.get("payload");
        kept.ids.iter().filter_map(payload).collect()
    }
}
