//! The contract suite of queues, for lists and streams on a real server. The SDK's own tests run the same
//! suite for its queue in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dalston_engine_sdk::queue::testsuite::{Backend, RedisBackend, random_walk};
use dalston_engine_sdk::queue::{Claim, Queue, QueueError};
use e2e_tests::{RedisServer, isolation};
use redis::Commands as _;
use tokio::sync::RwLockReadGuard;

/// A backend with its server.
pub(crate) struct Served {
    backend: RedisBackend,
    pub(crate) server: RedisServer,
    /// Held here, because `queue_contract!` writes the tests. Each test makes one backend.
    _guard: RwLockReadGuard<'static, ()>,
}

impl Served {
    /// Gives the workers' Redis user a right, or takes it away.
    pub(crate) fn allow(&self, right: &str) {
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("default").arg(right);
        let done = user.exec(&mut self.server.connect());
        done.expect("the right is well formed");
    }

    /// Connects a worker that has joined.
    pub(crate) async fn joined(&self, worker: &str) -> Arc<dyn Queue> {
        let worker = self.connect(worker);
        worker.join().await.expect("no other has this id");
        worker
    }
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

pub(crate) async fn list(engine_id: &str) -> Option<Served> {
    let guard = isolation::shared_async().await;
    let server = RedisServer::start();
    Some(Served {
        backend: RedisBackend::list(&server.url(), engine_id).await,
        server,
        _guard: guard,
    })
}

pub(crate) async fn stream(engine_id: &str) -> Option<Served> {
    let guard = isolation::shared_async().await;
    let server = RedisServer::start();
    Some(Served {
        backend: RedisBackend::streams(&server.url(), engine_id).await,
        server,
        _guard: guard,
    })
}

/// Claims the next task.
pub(crate) async fn next(worker: &dyn Queue) -> Claim {
    let claim = worker.claim(Duration::ZERO).await;
    claim.expect("the queue answers").expect("a task")
}

/// Checks that a task whose hash may not be read stays in the queue, because the fault is not the task's.
async fn check_denied_hash(backend: &Served) {
    let allow = |right: &str| backend.allow(right);
    let worker = backend.joined("worker").await;
    backend.push("one").await;
    allow("-hgetall");
    let denied = worker.claim(Duration::ZERO).await;
    assert!(matches!(denied, Err(QueueError::Unavailable { .. })));
    allow("+hgetall");
    let claim = next(&*worker).await;
    assert_eq!(claim.metadata["job_id"], "job");
}

/// Checks that two tasks can be claimed although the hash of one is a string and that of the other is not
/// UTF-8.
async fn check_odd_hashes(backend: &Served) {
    backend.push("one").await;
    backend.push("two").await;
    let mut server = backend.server.connect();
    let _: () = server.set("dalston:task:one", "a string").expect("SET");
    let _: usize = server
        .hset("dalston:task:two", "stage", b"\xffa".as_slice())
        .expect("HSET");
    let worker = backend.joined("worker").await;
    let one = next(&*worker).await;
    assert!(one.metadata.is_empty(), "{one:?}");
    let two = next(&*worker).await;
    assert_eq!(two.metadata["stage"], "\u{fffd}a");
}

mod on_a_list {
    use std::time::Duration;

    use dalston_engine_sdk::queue::testsuite::Backend as _;
    use redis::Commands as _;

    dalston_engine_sdk::queue_contract!(super::list);

    #[tokio::test]
    async fn a_task_that_is_handed_out_after_its_worker_left_is_not_lost() {
        let backend = super::list("late").await.expect("it is always there");
        let leaving = backend.connect("leaving");
        leaving.join().await.unwrap();
        leaving.leave().await.unwrap();
        // A server does this if it has not yet noticed that the connection of a waiting worker is closed.
        let mut server = backend.server.connect();
        let _: usize = server
            .lpush("dalston:processing:late:leaving", "one")
            .unwrap();
        let other = backend.connect("other");
        other.join().await.unwrap();
        let found = other.claim(Duration::ZERO).await.unwrap();
        assert_eq!(found.map(|claim| claim.task_id).as_deref(), Some("one"));
    }

    #[tokio::test]
    async fn an_entry_that_is_no_text_holds_up_no_task() {
        let backend = super::list("bytes").await.expect("it is always there");
        let mut server = backend.server.connect();
        let _: usize = server
            .lpush("dalston:queue:bytes", b"\xff\xfe".as_slice())
            .unwrap();
        backend.push("one").await;
        let worker = backend.connect("worker");
        worker.join().await.unwrap();
        let claim = worker.claim(Duration::from_secs(5)).await.unwrap();
        assert_eq!(claim.map(|claim| claim.task_id).as_deref(), Some("one"));
        let left: Vec<String> = server
            .lrange("dalston:processing:bytes:worker", 0, -1)
            .unwrap();
        assert_eq!(left, ["one"]);
    }

    #[tokio::test]
    async fn a_task_whose_hash_is_none_or_no_text_can_still_be_claimed() {
        let backend = super::list("hash").await.expect("it is always there");
        super::check_odd_hashes(&backend).await;
    }

    #[tokio::test]
    async fn a_task_whose_hash_may_not_be_read_stays_in_the_queue() {
        let backend = super::list("denied").await.expect("it is always there");
        super::check_denied_hash(&backend).await;
    }

    #[tokio::test]
    async fn workers_that_come_and_go_at_random_complete_each_task_once() {
        let backend = super::list("walk").await.expect("it is always there");
        super::random_walk(&backend, 1, 120, 30).await;
    }
}

mod on_a_stream {
    use std::time::Duration;

    use dalston_engine_sdk::queue::testsuite::Backend as _;
    use redis::Commands as _;

    dalston_engine_sdk::queue_contract!(super::stream);

    #[tokio::test]
    async fn a_server_that_forgot_everything_ends_no_worker() {
        let backend = super::stream("forgot").await.expect("it is always there");
        let worker = backend.connect("a");
        worker.join().await.unwrap();
        backend.push("one").await;
        let held = worker.claim(Duration::ZERO).await.unwrap();
        let waiting = async {
            let other = backend.connect("b");
            other.join().await.unwrap();
            other.claim(Duration::from_millis(400)).await
        };
        let forgetting = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut server = backend.server.connect();
            let mut destroy = redis::cmd("XGROUP");
            destroy
                .arg("DESTROY")
                .arg("dalston:stream:forgot")
                .arg("engines");
            let _: usize = destroy.query(&mut server).unwrap();
        };
        let (waited, ()) = tokio::join!(waiting, forgetting);
        // The worker has made the group again, from the beginning of the stream.
        let waited = waited.unwrap();
        assert_eq!(waited.map(|claim| claim.task_id).as_deref(), Some("one"));

        let lost = worker.renew().await.unwrap();
        assert_eq!(lost.len(), 1, "`renew` reports the lost task");
        drop(held);

        let mut server = backend.server.connect();
        let _: usize = server.del("dalston:stream:forgot").unwrap();
        backend.push("two").await;
        let next = worker.claim(Duration::ZERO).await.unwrap();
        assert_eq!(next.map(|claim| claim.task_id).as_deref(), Some("two"));
    }

    #[tokio::test]
    async fn an_entry_that_is_no_text_holds_up_no_task() {
        let backend = super::stream("bytes").await.expect("it is always there");
        let mut server = backend.server.connect();
        let fields = [("task_id", b"\xff\xfe".as_slice()), ("job_id", b"\xff")];
        let _: String = server.xadd("dalston:stream:bytes", "*", &fields).unwrap();
        backend.push("one").await;
        let worker = backend.connect("worker");
        worker.join().await.unwrap();
        let odd = worker.claim(Duration::ZERO).await.unwrap();
        let odd = odd.expect("an event can name it");
        assert_eq!(odd.task_id, "\u{fffd}\u{fffd}");
        let claim = worker.claim(Duration::ZERO).await.unwrap();
        assert_eq!(claim.map(|claim| claim.task_id).as_deref(), Some("one"));
    }

    #[tokio::test]
    async fn a_task_whose_hash_is_none_or_no_text_can_still_be_claimed() {
        let backend = super::stream("hash").await.expect("it is always there");
        super::check_odd_hashes(&backend).await;
    }

    #[tokio::test]
    async fn a_task_whose_hash_may_not_be_read_stays_in_the_queue() {
        let backend = super::stream("denied").await.expect("it is always there");
        super::check_denied_hash(&backend).await;
    }

    #[tokio::test]
    async fn workers_that_come_and_go_at_random_complete_each_task_once() {
        let backend = super::stream("walk").await.expect("it is always there");
        super::random_walk(&backend, 1, 120, 30).await;
    }
}
