//! The contract's far side on a real server: what the orchestrator does, in plain commands.

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
    heard: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    List,
    Stream,
}

impl RedisBackend {
    /// The list of an engine that nobody else knows of, on the server at `url`.
    ///
    /// # Panics
    ///
    /// The server does not answer.
    pub async fn list(url: &str, engine_id: &str) -> Self {
        Self::new(url, engine_id, Kind::List).await
    }

    /// The stream of an engine that nobody else knows of. Its events are those of the whole server:
    /// one test at a time, or a server for each.
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
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let ears = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut messages = events.on_message();
            while let Some(message) = messages.next().await {
                let text = message.get_payload().expect("an event is text");
                ears.lock()
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
            heard,
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

    /// What was kept where the pipeline keeps events, else what was heard.
    async fn events(&self) -> Vec<String> {
        if self.kind == Kind::List {
            // A script's PUBLISH is answered before a subscriber has read it.
            tokio::time::sleep(LEASE / 12).await;
            return self
                .heard
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
