//! The contract of queues on memory, with a clock that advances only while every task waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::testsuite::{Backend, LEASE, random_walk};
use super::{MemoryBroker, Queue};

#[async_trait]
impl Backend for MemoryBroker {
    fn connect(&self, worker: &str) -> Arc<dyn Queue> {
        Arc::new(MemoryBroker::connect(self, worker, LEASE))
    }

    async fn push(&self, task_id: &str) {
        let job = ("job_id".to_owned(), "job".to_owned());
        MemoryBroker::push(self, task_id, BTreeMap::from([job]));
    }

    async fn events(&self) -> Vec<String> {
        let events = MemoryBroker::events(self);
        events.into_iter().map(|event| event.message).collect()
    }
}

async fn memory(_: &str) -> Option<MemoryBroker> {
    Some(MemoryBroker::default())
}

crate::queue_contract!(memory, start_paused = true);

#[tokio::test(start_paused = true)]
async fn a_random_walk_completes_every_task_once() {
    for seed in 0..500 {
        random_walk(&MemoryBroker::default(), seed, 200, 12).await;
    }
}
