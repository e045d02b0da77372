//! Prometheus metrics under the names that Dalston's dashboards and alerts know.

mod labels;
mod registration;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::error::ErrorKind;
use crate::memory;
use labels::{
    Acquired, CacheHit, Engine, Failure, Processed, Recognition, Redelivery, Stage, Step, Task,
    Transfer,
};
use registration::{Histograms, Registration};

/// The counters, gauges and histograms of one worker. Any thread may update them, at little cost.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    engine_id: String,
    tasks_processed: Family<Processed, Counter>,
    task_duration: Histograms<Task>,
    queue_wait: Histograms<Transfer>,
    s3_download: Histograms<Transfer>,
    s3_upload: Histograms<Transfer>,
    redeliveries: Family<Redelivery, Counter>,
    skipped_cancelled: Family<Stage, Counter>,
    model_load: Histograms<Task>,
    model_acquire: Histograms<Acquired>,
    model_cache_hits: Family<CacheHit, Counter>,
    recognize: Histograms<Recognition>,
    realtime_factor: Histograms<Recognition>,
    batch_fill: Histograms<Engine>,
    step: Family<Step, Counter<f64, AtomicU64>>,
    task_failures: Family<Failure, Counter>,
    memory: Family<Engine, Gauge>,
    gpu_memory: Family<Engine, Gauge>,
    gpu_memory_total: Family<Engine, Gauge>,
    active_tasks: Family<Engine, Gauge>,
    since_progress: Family<Engine, Gauge<f64, AtomicU64>>,
}

/// How a task ended: the label `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The task's result is stored.
    Completed,
    /// The task failed.
    Failed,
}

/// Why a task was delivered again: the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedeliveryReason {
    /// The worker that held the task died.
    EngineCrash,
    /// A worker put the task back.
    Deferred,
}

/// Dalston's registry calls every worker of this SDK a `container`; the other profiles are those of
/// Dalston's own engines.
const EXECUTION_PROFILE: &str = "container";

/// Buckets in seconds of work per second of audio: from a large GPU to slower than speech.
const FACTORS: [f64; 12] = [
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// Buckets of how full a batch is: from a hundredth, one short file on a large GPU, to a full batch.
const SHARES: [f64; 8] = [0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0];

impl Metrics {
    /// Makes the metrics of one engine, all at zero.
    pub fn new(engine_id: impl Into<String>) -> Self {
        let mut new = Registration(Registry::with_prefix("dalston_engine"));
        Self {
            tasks_processed: new.counter("tasks_processed", "Tasks that ended"),
            task_duration: new.times("task_duration", "From the claim of a task to its end"),
            queue_wait: new.times("queue_wait", "From a task's enqueuing to its claim"),
            s3_download: new.times("s3_download", "Fetching a task's request and files"),
            s3_upload: new.times("s3_upload", "Storing a task's result"),
            redeliveries: new.counter("task_redelivery", "Tasks that came again, or were put back"),
            skipped_cancelled: new.counter("tasks_skipped_cancelled", "Tasks of cancelled jobs"),
            model_load: new.times("model_load", "Loading the engine with its model"),
            model_acquire: new.times("model_acquire", "A task's wait for its model"),
            model_cache_hits: new.counter("model_cache_hits", "Tasks whose model was in memory"),
            recognize: new.times("recognize", "The engine's work on a task"),
            realtime_factor: new.ratio("realtime_factor", "Work per second of audio", &FACTORS),
            batch_fill: new.ratio("batch_fill", "How full the engine's batches are", &SHARES),
            step: new.time("step", "Time in each step of the engine's work"),
            task_failures: new.counter("task_failures", "Tasks that failed, by whose fault"),
            memory: new.bytes("memory", "Main memory that the worker holds"),
            gpu_memory: new.bytes("gpu_memory", "Memory of the GPU that is in use"),
            gpu_memory_total: new.bytes("gpu_memory_size", "Memory of the GPU"),
            active_tasks: new.number("active_tasks", "Tasks that the worker holds"),
            since_progress: new.decimal(
                "seconds_since_progress",
                "Time without progress of any task",
            ),
            registry: new.0,
            engine_id: engine_id.into(),
        }
    }

    /// Counts a task that ended, `took` after its claim.
    pub fn task_ended(&self, outcome: Outcome, model: Option<&str>, took: Duration) {
        let status = match outcome {
            Outcome::Completed => "success",
            Outcome::Failed => "failure",
        };
        let task = self.task(model);
        let processed = Processed {
            engine_id: task.engine_id.clone(),
            model: task.model.clone(),
            status,
            execution_profile: EXECUTION_PROFILE,
        };
        self.tasks_processed.get_or_create(&processed).inc();
        let duration = self.task_duration.get_or_create(&task);
        duration.observe(took.as_secs_f64());
    }

    /// Counts a task that failed with an error of this kind.
    pub fn task_failed(&self, kind: ErrorKind) {
        let failure = Failure {
            engine_id: self.engine_id.clone(),
            kind: match kind {
                ErrorKind::Input => "input",
                ErrorKind::Unavailable => "unavailable",
                ErrorKind::Disk => "disk",
                ErrorKind::Engine => "engine",
            },
        };
        self.task_failures.get_or_create(&failure).inc();
    }

    /// Records how long a task waited in the queue.
    pub fn queue_waited(&self, time: Duration) {
        self.observe(&self.queue_wait, time);
    }

    /// Records how long the download of a task's request and files took.
    pub fn downloaded(&self, time: Duration) {
        self.observe(&self.s3_download, time);
    }

    /// Records how long the upload of a task's result took.
    pub fn uploaded(&self, time: Duration) {
        self.observe(&self.s3_upload, time);
    }

    /// Counts a task that had been delivered before, or that this worker put back.
    pub fn redelivered(&self, stage: &str, reason: RedeliveryReason) {
        let redelivery = Redelivery {
            stage: stage.to_owned(),
            reason: match reason {
                RedeliveryReason::EngineCrash => "engine_crash",
                RedeliveryReason::Deferred => "deferred",
            },
        };
        self.redeliveries.get_or_create(&redelivery).inc();
    }

    /// Counts a task that was skipped because its job is cancelled.
    pub fn skipped_cancelled(&self, stage: &str) {
        let stage = Stage {
            stage: stage.to_owned(),
        };
        self.skipped_cancelled.get_or_create(&stage).inc();
    }

    /// Records how long the load of the engine with its model took.
    pub fn model_loaded(&self, model: Option<&str>, time: Duration) {
        let load = self.model_load.get_or_create(&self.task(model));
        load.observe(time.as_secs_f64());
    }

    /// Records how long a task waited for its model, which was in memory already or had to be loaded.
    pub fn model_acquired(&self, model: &str, in_memory: bool, time: Duration) {
        let acquired = Acquired {
            engine_id: self.engine_id.clone(),
            model: model.to_owned(),
            in_memory: if in_memory { "true" } else { "false" },
        };
        let acquire = self.model_acquire.get_or_create(&acquired);
        acquire.observe(time.as_secs_f64());
        if in_memory {
            let hit = CacheHit {
                engine_id: self.engine_id.clone(),
                model: model.to_owned(),
            };
            self.model_cache_hits.get_or_create(&hit).inc();
        }
    }

    /// Records how long the engine worked on a task, and how much audio the task had; `None` for an engine
    /// that reads no audio.
    pub fn recognized(
        &self,
        model: Option<&str>,
        device: &str,
        time: Duration,
        audio_s: Option<f64>,
    ) {
        let labels = self.recognition(model, device);
        let seconds = time.as_secs_f64();
        self.recognize.get_or_create(&labels).observe(seconds);
        if let Some(audio_s) = audio_s.filter(|it| *it > 0.0) {
            let factor = self.realtime_factor.get_or_create(&labels);
            factor.observe(seconds / audio_s);
        }
    }

    /// Records how full a batch of the engine was, from 0 to 1.
    pub fn batch_filled(&self, share: f64) {
        self.batch_fill.get_or_create(&self.engine()).observe(share);
    }

    /// Adds `time` to the time that the engine spent in a step of its work.
    pub fn stepped(&self, step: &'static str, time: Duration) {
        let labels = Step {
            engine_id: self.engine_id.clone(),
            step,
        };
        self.step.get_or_create(&labels).inc_by(time.as_secs_f64());
    }

    /// Records how many tasks the worker holds.
    pub fn holds_tasks(&self, n_tasks: u32) {
        self.active_tasks
            .get_or_create(&self.engine())
            .set(n_tasks.into());
    }

    /// Records for how long no task of the engine has made progress; zero while the engine has none.
    pub fn stood_still(&self, time: Duration) {
        let gauge = self.since_progress.get_or_create(&self.engine());
        gauge.set(time.as_secs_f64());
    }

    /// Memory of the GPU that is in use, in bytes; `None`, without a GPU, changes nothing.
    pub fn gpu_memory_used(&self, bytes: Option<u64>) {
        self.set_bytes(&self.gpu_memory, bytes);
    }

    /// Memory of the GPU, in bytes; `None`, without a GPU, changes nothing.
    pub fn gpu_memory_total(&self, bytes: Option<u64>) {
        self.set_bytes(&self.gpu_memory_total, bytes);
    }

    /// Writes all metrics as text in the format [`CONTENT_TYPE`]. Main memory is read at this moment.
    pub fn text(&self) -> String {
        self.set_bytes(&self.memory, memory::resident_bytes());
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("a string takes anything");
        page
    }

    fn set_bytes(&self, gauge: &Family<Engine, Gauge>, bytes: Option<u64>) {
        if let Some(bytes) = bytes.and_then(|it| i64::try_from(it).ok()) {
            gauge.get_or_create(&self.engine()).set(bytes);
        }
    }

    fn engine(&self) -> Engine {
        Engine {
            engine_id: self.engine_id.clone(),
        }
    }

    fn observe(&self, durations: &Histograms<Transfer>, time: Duration) {
        let labels = Transfer {
            engine_id: self.engine_id.clone(),
            execution_profile: EXECUTION_PROFILE,
        };
        durations.get_or_create(&labels).observe(time.as_secs_f64());
    }

    fn task(&self, model: Option<&str>) -> Task {
        Task {
            engine_id: self.engine_id.clone(),
            model: model.unwrap_or_default().to_owned(),
            execution_profile: EXECUTION_PROFILE,
        }
    }

    fn recognition(&self, model: Option<&str>, device: &str) -> Recognition {
        Recognition {
            engine_id: self.engine_id.clone(),
            model: model.unwrap_or_default().to_owned(),
            device: device.to_owned(),
        }
    }
}

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
