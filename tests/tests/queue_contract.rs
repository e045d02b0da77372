//! Every claim about queues, on lists and on streams of a real server; the SDK's own tests hold its
//! queue in memory to the same.

use std::sync::Arc;

use async_trait::async_trait;
use dalston_engine_sdk::queue::Queue;
use dalston_engine_sdk::queue::testsuite::{Backend, RedisBackend, random_walk};
use e2e_tests::RedisServer;

/// A backend with the server it lives on.
struct Served {
    backend: RedisBackend,
    _server: RedisServer,
}

#[async_trait]
impl Backend for Served {
    fn connect(&self, worker: &str) -> Arc<dyn Queue> {
        self.backend.connect(worker)
    }

    async fn push(&self, task_id: &str) {
        self.backend.push(task_id).await;
    }

    async fn events(&self) -> Vec<String> {
        self.backend.events().await
    }
}

async fn list(engine_id: &str) -> Option<Served> {
    let server = RedisServer::start();
    Some(Served {
        backend: RedisBackend::list(&server.url(), engine_id).await,
        _server: server,
    })
}

async fn stream(engine_id: &str) -> Option<Served> {
    let server = RedisServer::start();
    Some(Served {
        backend: RedisBackend::streams(&server.url(), engine_id).await,
        _server: server,
    })
}

mod on_a_list {
    dalston_engine_sdk::queue_contract!(super::list);

    #[tokio::test]
    async fn workers_that_come_and_go_at_random_complete_each_task_once() {
        let backend = super::list("walk").await.expect("it is always there");
        super::random_walk(&backend, 1, 120, 30).await;
    }
}

mod on_a_stream {
    dalston_engine_sdk::queue_contract!(super::stream);

    #[tokio::test]
    async fn workers_that_come_and_go_at_random_complete_each_task_once() {
        let backend = super::stream("walk").await.expect("it is always there");
        super::random_walk(&backend, 1, 120, 30).await;
    }
}
