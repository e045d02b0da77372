//! A worker's settings: reads the environment once and checks it.
//!
//! The names are those of Dalston's HEAD. Where one is not set, the M22 era's name is read. An empty value
//! counts as not set. A wrong value is refused with the variable's name, before anything is connected or
//! loaded.

mod environment;
mod variables;

use std::path::PathBuf;
use std::time::Duration;

use crate::contract::Contract;

use environment::Environment;

pub use environment::{ConfigError, Secret};
pub use variables::{VARIABLES, Variable, markdown};

/// All settings of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which Dalston the worker talks to.
    pub contract: Contract,
    /// The engine's id; its queue is named after it.
    pub engine_id: String,
    /// This worker's name.
    pub worker_id: String,
    /// The address of the queue's Redis server, with its credentials.
    pub redis_url: Secret,
    /// Whether to start on a Redis server that may evict keys, and so lose tasks.
    pub allow_eviction: bool,
    /// The object store.
    pub store: StoreConfig,
    /// The device that the engine runs on.
    pub device: DeviceChoice,
    /// The model of a task that names none; with `None` the engine chooses.
    pub default_model: Option<String>,
    /// The folder that models are in; with `None` the engine chooses.
    pub model_dir: Option<PathBuf>,
    /// How many models stay in memory, 1 to 64.
    pub max_loaded_models: usize,
    /// How many tasks an engine works on at a time, if it can work on several, 1 to 64; with `None` the
    /// engine chooses.
    pub max_in_flight: Option<usize>,
    /// How much of a GPU's memory the engine may take, in MB; `None` is all free memory.
    pub vram_budget_mb: Option<u64>,
    /// How many characters a segment of a transcript has at most if its task says nothing; 0 is no limit.
    pub max_segment_chars: usize,
    /// The port of health pages and metrics; 0 binds a free one.
    pub metrics_port: u16,
    /// Whether the port serves metrics too.
    pub metrics_enabled: bool,
    /// The log's level and format.
    pub logs: LogConfig,
    /// How long a worker may fail to renew its lease before its tasks go to others.
    pub lease: Duration,
    /// How long running tasks may go on after SIGTERM.
    pub grace: Duration,
    /// How often a task may end its worker before the task fails, 1 to 100.
    pub max_deliveries: u32,
    /// How long a task may wait for its own objects, or for room on the disk, before it fails.
    pub deferral_limit: Duration,
    /// How long work on a task may take if the pipeline does not say so.
    pub task_timeout: Duration,
    /// How long the engine may make no progress before it counts as hung; `None` is without a limit.
    pub watchdog: Option<Duration>,
    /// Where the pipeline runs, for the registry.
    pub deploy_env: String,
    /// The machine's name, for the registry.
    pub hostname: String,
    /// The node's id, for the registry.
    pub node_id: NodeId,
}

/// The settings of the object store. Credentials are not among them: they come from AWS's usual chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The only bucket that tasks may name.
    pub bucket: String,
    /// The bucket's region; with `None` AWS's usual chain decides.
    pub region: Option<String>,
    /// The address of an S3 server; `None` is AWS.
    pub endpoint: Option<String>,
}

/// The device that the engine runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU; without one the worker does not start.
    Cuda,
}

/// The node that the registry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeId {
    /// The machine's name stands for the node.
    Hostname,
    /// This id.
    Named(String),
    /// The id of this EC2 instance, which the metadata service knows.
    Ec2Instance,
}

/// The log's level and format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe level that is logged.
    pub level: tracing::Level,
    /// The format.
    pub format: LogFormat,
}

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, with the keys of the Python fleet.
    Json,
    /// Text for people.
    Console,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// `engine_id` is used where the environment sets no engine id.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: print it and end the process.
    pub fn from_env(engine_id: &str) -> Result<Self, ConfigError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the only place that may read the environment"
        )]
        let variable = |name: &str| std::env::var_os(name);
        Self::read(&Environment(&variable), engine_id)
    }

    fn read(environment: &Environment<'_>, engine_id: &str) -> Result<Self, ConfigError> {
        use variables as v;
        let own_name = environment.named("HOSTNAME")?.unwrap_or_else(host_name);
        let hostname = environment.text_or(&v::HOSTNAME, || own_name.clone())?;
        Ok(Self {
            contract: environment.parsed_or(
                &v::CONTRACT,
                "m22, m22-typed or streams",
                Contract::M22,
            )?,
            engine_id: environment.id_or(&v::ENGINE_ID, || engine_id.to_owned())?,
            // Not `hostname`: containers of one machine may all be told the machine's name.
            worker_id: environment.id_or(&v::WORKER_ID, || plain(&own_name))?,
            redis_url: environment.redis_url()?,
            allow_eviction: environment
                .one_of(&v::ALLOW_EVICTION, &[("false", false), ("true", true)])?,
            store: StoreConfig {
                bucket: environment.id_or(&v::S3_BUCKET, || "dalston-artifacts".to_owned())?,
                region: environment.value(&v::S3_REGION)?.map(|it| it.text),
                endpoint: environment.endpoint()?,
            },
            device: environment.one_of(
                &v::DEVICE,
                &[
                    ("auto", DeviceChoice::Auto),
                    ("cpu", DeviceChoice::Cpu),
                    ("cuda", DeviceChoice::Cuda),
                ],
            )?,
            default_model: environment.value(&v::DEFAULT_MODEL)?.map(|it| it.text),
            model_dir: environment.value(&v::MODEL_DIR)?.map(|it| it.text.into()),
            max_loaded_models: environment.number(&v::MAX_LOADED_MODELS, 1, 64, 2)? as usize,
            max_in_flight: environment
                .number_if_set(&v::MAX_IN_FLIGHT, 1, 64)?
                .map(|it| it as usize),
            vram_budget_mb: environment.number_if_set(&v::VRAM_BUDGET_MB, 1, 1_000_000)?,
            max_segment_chars: environment.number(&v::MAX_SEGMENT_CHARS, 0, 10_000, 80)? as usize,
            metrics_port: environment.number(&v::METRICS_PORT, 0, 65535, 9100)? as u16,
            metrics_enabled: environment
                .one_of(&v::METRICS_ENABLED, &[("true", true), ("false", false)])?,
            logs: LogConfig {
                level: environment.one_of(
                    &v::LOG_LEVEL,
                    &[
                        ("info", tracing::Level::INFO),
                        ("error", tracing::Level::ERROR),
                        ("critical", tracing::Level::ERROR),
                        ("warning", tracing::Level::WARN),
                        ("warn", tracing::Level::WARN),
                        ("debug", tracing::Level::DEBUG),
                        ("trace", tracing::Level::TRACE),
                    ],
                )?,
                format: environment.one_of(
                    &v::LOG_FORMAT,
                    &[("json", LogFormat::Json), ("console", LogFormat::Console)],
                )?,
            },
            // At most half of the idle time at which Dalston fails a task of a dead worker.
            lease: Duration::from_secs(environment.number(&v::LEASE, 1, 300, 15)?),
            grace: Duration::from_secs(environment.number(&v::GRACE, 0, 86400, 60)?),
            max_deliveries: environment.number(&v::MAX_DELIVERIES, 1, 100, 3)? as u32,
            task_timeout: Duration::from_secs(environment.number(
                &v::TASK_TIMEOUT,
                1,
                604_800,
                3600,
            )?),
            watchdog: match environment.number(&v::WATCHDOG, 0, 86400, 600)? {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
            deferral_limit: Duration::from_secs(environment.number(
                &v::DEFERRAL_LIMIT,
                1,
                604_800,
                3600,
            )?),
            deploy_env: environment.text_or(&v::DEPLOY_ENV, || "local".to_owned())?,
            hostname,
            node_id: match environment.value(&v::NODE_ID)? {
                Some(id) => NodeId::Named(id.text),
                None => environment.one_of(
                    &v::NODE_ID_FROM_AWS,
                    &[("false", NodeId::Hostname), ("true", NodeId::Ec2Instance)],
                )?,
            },
        })
    }
}

/// The machine's name. A container's is its id, which stays the same when the container restarts.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// Makes a worker's name of a host's name: a character that a key cannot hold becomes a dash.
fn plain(name: &str) -> String {
    let plain = |c: char| match c {
        '.' | '_' | '-' => c,
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    name.chars().take(64).map(plain).collect()
}

#[cfg(test)]
mod tests;
