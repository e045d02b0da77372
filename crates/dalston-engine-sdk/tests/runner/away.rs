//! A store that becomes unavailable or refuses results, and a disk that loses a folder.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dalston_engine_sdk::status::Link;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::json;
use tokio::time::sleep;

use crate::world::World;

#[tokio::test]
async fn a_task_waits_for_a_store_that_is_away_and_then_completes() {
    let store = Arc::new(Flaky::default());
    let mut world = World::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>);
    world.start();
    world.wait(|| world.status.borrow().is_ready()).await;
    store.away.store(true, Ordering::SeqCst);
    for task_id in ["one", "two"] {
        let key = Path::from(format!("jobs/job/tasks/{task_id}/input.json"));
        let request = json!({"task_id": task_id, "job_id": "job", "config": {}});
        store
            .memory
            .put(&key, request.to_string().into())
            .await
            .unwrap();
        world.queue(task_id);
    }
    world
        .wait(|| world.status.borrow().store == Link::Unavailable)
        .await;
    assert!(!world.status.borrow().is_ready());

    // The worker neither asks in a hot loop nor takes further tasks.
    let asked = store.n_asked.load(Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    let asked = store.n_asked.load(Ordering::SeqCst) - asked;
    assert!(asked <= 10, "asked {asked} times in 2 s");
    assert_eq!(world.reported(), ["started one"]);

    store.away.store(false, Ordering::SeqCst);
    // The start of a task is told once, however often the task is put back.
    let reported = world.wait_for_events(4).await;
    assert_eq!(
        reported[1..],
        ["completed one", "started two", "completed two"]
    );
    let put_back = world.figure("task_redelivery_total{stage=\"transcribe\",reason=\"deferred\"}");
    assert!((put_back - 1.0).abs() < 0.1, "{put_back}");
}

#[tokio::test]
async fn a_worker_asks_the_store_before_its_first_task_and_is_not_ready_until_it_answers() {
    let store = Arc::new(Flaky::default());
    store.away.store(true, Ordering::SeqCst);
    let mut world = World::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let n_loads = Arc::clone(&world.engine.n_loads);
    world.start();
    world
        .wait(|| world.status.borrow().store == Link::Unavailable)
        .await;
    world.wait(|| n_loads.load(Ordering::SeqCst) == 1).await;
    world.queue("one");
    sleep(Duration::from_millis(500)).await;
    assert!(!world.status.borrow().is_ready());
    assert_eq!(world.reported(), [""; 0], "a task was claimed");
    store.away.store(false, Ordering::SeqCst);
    world.wait(|| world.status.borrow().is_ready()).await;
}

#[tokio::test]
async fn a_result_waits_for_a_store_that_refuses_it_and_is_computed_once() {
    let store = Arc::new(Flaky::default());
    let mut world = World::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>);
    world.engine.n_at_once = 3;
    let n_processed = Arc::clone(&world.engine.n_processed);
    for task_id in ["one", "two", "three", "four"] {
        world.submit(task_id, json!({})).await;
    }
    store.takes_nothing.store(true, Ordering::SeqCst);
    world.start();
    world.wait(|| n_processed.load(Ordering::SeqCst) >= 3).await;
    sleep(Duration::from_secs(3)).await;
    store.takes_nothing.store(false, Ordering::SeqCst);
    world.wait_for_events(8).await;
    assert_eq!(n_processed.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_result_that_the_store_never_takes_fails_with_the_reason() {
    let store = Arc::new(Flaky::default());
    let mut world = World::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>);
    world.settings().deferral_limit = Duration::from_secs(1);
    world.submit("one", json!({})).await;
    store.takes_nothing.store(true, Ordering::SeqCst);
    world.start();
    let reported = world.wait_for_events(2).await;
    assert_eq!(
        reported[1],
        "failed one: the store does not take the result of the task"
    );
}

#[tokio::test]
async fn a_folder_that_a_cleaner_removed_is_made_again() {
    let mut world = World::new();
    let scratch = world.settings().scratch.clone();
    world.start();
    world.wait(|| world.status.borrow().is_ready()).await;
    std::fs::remove_dir_all(&scratch).unwrap();
    world.submit("one", json!({})).await;
    assert_eq!(
        world.wait_for_events(2).await,
        ["started one", "completed one"]
    );
}

/// A store in memory that a test can make unavailable.
#[derive(Debug, Default)]
struct Flaky {
    memory: InMemory,
    away: AtomicBool,
    /// Whether it refuses objects, and answers everything else.
    takes_nothing: AtomicBool,
    n_asked: AtomicU32,
}

impl Flaky {
    fn ask(&self) -> Result<()> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(unavailable("503 Service Unavailable"));
        }
        Ok(())
    }
}

fn unavailable(answer: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store: "flaky",
        source: answer.into(),
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, to: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.ask()?;
        if self.takes_nothing.load(Ordering::SeqCst) {
            return Err(unavailable("507 Insufficient Storage"));
        }
        self.memory.put_opts(to, what, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask()?;
        self.memory.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.ask()?;
        self.memory.get_opts(from, how).await
    }

    fn delete_stream(
        &self,
        which: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.memory.delete_stream(which)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, how).await
    }
}
