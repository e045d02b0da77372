//! Measures how many tasks a second the SDK moves: an engine that does nothing, a real Redis server, and a
//! store in memory.
//!
//! `cargo run --release --example queue_throughput -- redis://127.0.0.1:6379 [m22|streams] [N_TASKS]`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dalston_engine_sdk::artifacts::Artifacts;
use dalston_engine_sdk::contract::{Contract, Identity, Protocol};
use dalston_engine_sdk::metrics::Metrics;
use dalston_engine_sdk::queue::{ListQueue, Queue, StreamQueue};
use dalston_engine_sdk::runner::{Parts, RunnerSettings, Shutdown, run};
use dalston_engine_sdk::status::WorkerStatus;
use dalston_engine_sdk::{
    Capabilities, Engine, EngineHealth, TaskContext, TaskError, TaskInput, TaskOutput,
};
use futures_util::StreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;
use tokio::sync::watch;

const ENGINE_ID: &str = "throughput";

struct NullEngine;

impl Engine for NullEngine {
    fn load(&mut self) -> Result<(), TaskError> {
        Ok(())
    }

    fn process(&mut self, _: &TaskInput, _: &TaskContext) -> Result<TaskOutput, TaskError> {
        Ok(TaskOutput::default())
    }

    fn health(&self) -> EngineHealth {
        EngineHealth::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .ok_or("expected the URL of a Redis server")?;
    let contract: Contract = arguments.next().as_deref().unwrap_or("m22").parse()?;
    let n_tasks: usize = arguments.next().as_deref().unwrap_or("1000").parse()?;

    let client = redis::Client::open(url.as_str())?;
    let mut ends = client.get_async_pubsub().await?;
    ends.subscribe("dalston:events").await?;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    submit(&client, &*store, contract, n_tasks).await?;

    let (shutdown, asked) = watch::channel(Shutdown::No);
    let began = Instant::now();
    let worker = tokio::spawn(run(NullEngine, parts(&url, contract, store)?, asked));
    let mut events = ends.on_message();
    let mut n_done = 0;
    while n_done < n_tasks {
        let event: String = events
            .next()
            .await
            .ok_or("the server went away")?
            .get_payload()?;
        n_done += usize::from(event.contains("task.completed"));
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{contract}: {n_tasks} tasks in {took:.2} s, {:.0} tasks/s",
        n_tasks as f64 / took
    );
    shutdown.send_replace(Shutdown::Drain);
    Ok(worker.await??)
}

fn parts(
    url: &str,
    contract: Contract,
    store: Arc<dyn ObjectStore>,
) -> Result<Parts, Box<dyn Error>> {
    let (instance, lease) = ("throughput-1", Duration::from_secs(15));
    let queue: Arc<dyn Queue> = match contract {
        Contract::Streams => Arc::new(StreamQueue::new(url, ENGINE_ID, instance, lease)?),
        _ => Arc::new(ListQueue::new(url, ENGINE_ID, instance, lease)?),
    };
    Ok(Parts {
        queue,
        artifacts: Artifacts::new(store, "bucket"),
        protocol: Arc::new(Protocol {
            contract,
            identity: Identity {
                engine_id: ENGINE_ID.to_owned(),
                instance: instance.to_owned(),
                hostname: "localhost".to_owned(),
                node_id: "box".to_owned(),
                deploy_env: "local".to_owned(),
                capabilities: Capabilities::default(),
                registered_at: SystemTime::now(),
            },
        }),
        metrics: Arc::new(Metrics::new(ENGINE_ID)),
        status: watch::Sender::new(WorkerStatus::default()),
        settings: RunnerSettings {
            engine_id: ENGINE_ID.to_owned(),
            slots: 1,
            grace: Duration::from_secs(10),
            deferral_limit: Duration::from_secs(3600),
            max_deliveries: 3,
            task_timeout: Duration::from_secs(3600),
            watchdog: None,
            overtime: Duration::from_secs(30),
            scratch: tempfile::env::temp_dir().join("dalston-throughput-1"),
        },
    })
}

/// Stores the tasks' requests and adds the tasks to the queue.
async fn submit(
    client: &redis::Client,
    store: &dyn ObjectStore,
    contract: Contract,
    n_tasks: usize,
) -> Result<(), Box<dyn Error>> {
    let mut server = client.get_multiplexed_async_connection().await?;
    let mut queueing = redis::pipe();
    for n in 0..n_tasks {
        let task_id = format!("00000000-0000-4000-8000-{n:012}");
        let folder = format!("jobs/job/tasks/{task_id}");
        let request = json!({"task_id": task_id, "job_id": "job", "config": {}});
        for name in ["input.json", "request.json"] {
            let key = Path::from(format!("{folder}/{name}"));
            store.put(&key, request.to_string().into()).await?;
        }
        let hash = [
            ("job_id", "job"),
            ("stage", "transcribe"),
            ("engine_id", ENGINE_ID),
        ];
        queueing.hset_multiple(format!("dalston:task:{task_id}"), &hash);
        match contract {
            Contract::Streams => {
                let stream = format!("dalston:stream:{ENGINE_ID}");
                queueing.xadd(
                    stream,
                    "*",
                    &[("task_id", task_id.as_str()), ("job_id", "job")],
                );
            }
            _ => {
                queueing.lpush(format!("dalston:queue:{ENGINE_ID}"), task_id);
            }
        }
    }
    queueing.exec_async(&mut server).await?;
    Ok(())
}
