//! A store that becomes unavailable and comes back.

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
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::json;
use tokio::time::sleep;

use crate::world::World;

#[tokio::test]
async fn a_task_waits_for_a_store_that_is_away_and_then_completes() {
    let store = Arc::new(Flaky::default());
    let mut world = World::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>);
    world.submit("one", json!({})).await;
    world.submit("two", json!({})).await;
    store.away.store(true, Ordering::SeqCst);
    world.start();
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
    let reported = world.wait_for_events(5).await;
    assert_eq!(
        reported[1..],
        [
            "started one",
            "completed one",
            "started two",
            "completed two"
        ]
    );
    let put_back = world.figure("task_redelivery_total{stage=\"transcribe\",reason=\"deferred\"}");
    assert!((put_back - 1.0).abs() < 0.1, "{put_back}");
}

/// A store in memory that a test can make unavailable.
#[derive(Debug, Default)]
struct Flaky {
    memory: InMemory,
    away: AtomicBool,
    n_asked: AtomicU32,
}

impl Flaky {
    fn ask(&self) -> Result<()> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(object_store::Error::Generic {
                store: "flaky",
                source: "503 Service Unavailable".into(),
            });
        }
        Ok(())
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
