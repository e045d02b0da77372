//! A pipeline in memory around one engine whose tasks say what it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use dalston_engine_sdk::artifacts::Artifacts;
use dalston_engine_sdk::contract::{Contract, Identity, Protocol};
use dalston_engine_sdk::metrics::Metrics;
use dalston_engine_sdk::queue::{Event, MemoryBroker, Queue};
use dalston_engine_sdk::runner::{Parts, RunError, RunnerSettings, Shutdown, run};
use dalston_engine_sdk::status::WorkerStatus;
use dalston_engine_sdk::{
    BatchEngine, Capabilities, EngineHealth, TaskContext, TaskError, TaskInput, TaskOutput,
    TaskResult, Tasks,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// Longest time that anything in these tests may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An engine that does what a task's `config.do` says: `work` for a second unless it must stop, `batch` for
/// half a second without checking whether it must stop, `panic`, `batch-panic`, which is both, `hang`, `refuse`.
/// Without `do` it answers with the config.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) n_loads: Arc<AtomicU32>,
    pub(crate) n_processed: Arc<AtomicU32>,
    /// How many tasks the engine takes at once; 0 counts as 1.
    pub(crate) n_at_once: usize,
    /// The most tasks that the engine ever held at once.
    pub(crate) most_at_once: Arc<AtomicUsize>,
    /// How long a load takes.
    pub(crate) load: Duration,
    /// Whether every load after the first fails.
    pub(crate) loads_once: bool,
}

impl BatchEngine for Scripted {
    fn load(&mut self) -> Result<(), TaskError> {
        std::thread::sleep(self.load);
        let n_before = self.n_loads.fetch_add(1, Ordering::SeqCst);
        match self.loads_once && n_before > 0 {
            true => Err(TaskError::engine("the GPU is gone")),
            false => Ok(()),
        }
    }

    fn process_all(&mut self, tasks: &mut Tasks) {
        loop {
            let next = std::iter::from_fn(|| tasks.take());
            let together: Vec<_> = next.take(self.tasks_at_once()).collect();
            if together.is_empty() {
                return;
            }
            self.most_at_once
                .fetch_max(together.len(), Ordering::SeqCst);
            for task in together {
                let output = self.process(&task.input, &task.context);
                tasks.finish(task, output, self.health());
            }
        }
    }

    fn tasks_at_once(&self) -> usize {
        self.n_at_once.max(1)
    }

    fn health(&self) -> EngineHealth {
        EngineHealth::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

impl Scripted {
    fn process(&self, input: &TaskInput, context: &TaskContext) -> Result<TaskOutput, TaskError> {
        self.n_processed.fetch_add(1, Ordering::SeqCst);
        match input.config.get("do").and_then(Value::as_str) {
            Some("panic") => panic!("as the task says"),
            Some("batch") => std::thread::sleep(Duration::from_millis(500)),
            Some("batch-panic") => {
                std::thread::sleep(Duration::from_millis(500));
                panic!("as the task says");
            }
            // The thread ends with the test's process.
            Some("hang") => loop {
                std::thread::park();
            },
            Some("refuse") => return Err(TaskError::input("this is no speech")),
            Some("work") => {
                for _ in 0..100 {
                    context.check()?;
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            _ => {}
        }
        Ok(TaskOutput {
            result: TaskResult::Data(Value::Object(input.config.clone())),
            ..TaskOutput::default()
        })
    }
}

pub(crate) struct World {
    pub(crate) broker: MemoryBroker,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) engine: Scripted,
    pub(crate) shutdown: watch::Sender<Shutdown>,
    pub(crate) status: watch::Receiver<WorkerStatus>,
    pub(crate) metrics: Arc<Metrics>,
    parts: Option<Parts>,
    _scratch: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_store(Arc::new(InMemory::new()))
    }

    pub(crate) fn with_store(store: Arc<dyn ObjectStore>) -> Self {
        Self::on(MemoryBroker::default(), store, "worker")
    }

    /// Another worker of the same pipeline.
    pub(crate) fn another(&self, name: &str) -> Self {
        Self::on(self.broker.clone(), Arc::clone(&self.store), name)
    }

    fn on(broker: MemoryBroker, store: Arc<dyn ObjectStore>, worker: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (sender, status) = watch::channel(WorkerStatus::default());
        let metrics = Arc::new(Metrics::new("scripted"));
        let queue: Arc<dyn Queue> = Arc::new(broker.connect(worker, LEASE));
        let parts = Parts {
            queue,
            artifacts: Artifacts::new(Arc::clone(&store), "bucket"),
            protocol: Arc::new(Protocol {
                contract: Contract::M22,
                identity: Identity {
                    engine_id: "scripted".to_owned(),
                    instance: worker.to_owned(),
                    hostname: "host".to_owned(),
                    node_id: "box".to_owned(),
                    deploy_env: "test".to_owned(),
                    capabilities: Capabilities::default(),
                    registered_at: SystemTime::now(),
                },
            }),
            metrics: Arc::clone(&metrics),
            status: sender,
            settings: RunnerSettings {
                engine_id: "scripted".to_owned(),
                slots: 16,
                grace: Duration::from_secs(10),
                max_deliveries: 3,
                deferral_limit: Duration::from_secs(3600),
                task_timeout: Duration::from_secs(3600),
                watchdog: None,
                overtime: Duration::from_secs(30),
                scratch: scratch.path().join("worker"),
            },
        };
        Self {
            broker,
            store,
            engine: Scripted::default(),
            shutdown: watch::Sender::new(Shutdown::No),
            status,
            metrics,
            parts: Some(parts),
            _scratch: scratch,
        }
    }

    pub(crate) fn settings(&mut self) -> &mut RunnerSettings {
        &mut self.parts.as_mut().unwrap().settings
    }

    /// Starts the worker.
    pub(crate) fn start(&mut self) -> JoinHandle<Result<(), RunError>> {
        let parts = self.parts.take().unwrap();
        tokio::spawn(run(self.engine.clone(), parts, self.shutdown.subscribe()))
    }

    /// Stores a request and queues its task.
    pub(crate) async fn submit(&self, task_id: &str, config: Value) {
        let request = json!({"task_id": task_id, "job_id": "job", "config": config});
        let key = Path::from(format!("jobs/job/tasks/{task_id}/input.json"));
        self.store
            .put(&key, request.to_string().into())
            .await
            .unwrap();
        self.queue(task_id);
    }

    pub(crate) fn queue(&self, task_id: &str) {
        let hash = [
            ("job_id", "job"),
            ("stage", "transcribe"),
            ("engine_id", "scripted"),
        ];
        let hash = hash.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.broker.push(task_id, BTreeMap::from(hash));
    }

    /// The stored result of a task.
    pub(crate) async fn output(&self, task_id: &str) -> Option<Value> {
        let key = Path::from(format!("jobs/job/tasks/{task_id}/output.json"));
        let object = self.store.get(&key).await.ok()?;
        Some(serde_json::from_slice(&object.bytes().await.unwrap()).unwrap())
    }

    /// The value of a metric. `name` is the beginning of its line, without the prefix of all metrics.
    #[track_caller]
    pub(crate) fn figure(&self, name: &str) -> f64 {
        let page = self.metrics.text();
        let lines = page
            .lines()
            .filter_map(|it| it.strip_prefix("dalston_engine_"));
        let line = lines.into_iter().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// The events so far, as `completed one` or `failed one: the reason`.
    pub(crate) fn reported(&self) -> Vec<String> {
        let events = self.broker.events().into_iter().map(|event| {
            let event: Value = serde_json::from_str(&event.message).unwrap();
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let what = text("type").replace("task.", "");
            let reason = Some(text("error")).filter(|reason| !reason.is_empty());
            let reason = reason
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            format!("{what} {}{reason}", text("task_id"))
        });
        events.collect()
    }

    /// Waits until there are `n_events` events, and returns all events.
    pub(crate) async fn wait_for_events(&self, n_events: usize) -> Vec<String> {
        self.wait(|| self.reported().len() >= n_events).await;
        self.reported()
    }

    /// Waits until `condition` holds.
    pub(crate) async fn wait(&self, condition: impl Fn() -> bool) {
        let waited = timeout(TIMEOUT, async {
            while !condition() {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let events = || format!("events so far: {:?}", self.reported());
        waited.await.unwrap_or_else(|_| panic!("{}", events()));
    }
}

/// Waits for the end of a worker.
pub(crate) async fn end(worker: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    timeout(TIMEOUT, worker)
        .await
        .expect("the worker ends")
        .expect("it does not panic")
}

/// An event that another worker publishes.
pub(crate) fn event(message: &str) -> Event {
    let (what, task_id) = message.split_once(' ').unwrap();
    let message = json!({"type": format!("task.{what}"), "task_id": task_id});
    Event {
        message: message.to_string(),
        fields: Vec::new(),
    }
}
