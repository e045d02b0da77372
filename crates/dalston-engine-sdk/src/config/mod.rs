//! A worker's settings: the environment, read once and checked.
//!
//! The names are those of Dalston's HEAD; the M22 names count where those are not set. An empty value
//! is no value. What is wrong is refused by name, before anything is connected or loaded.

mod environment;
mod variables;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::contract::Contract;

use environment::Environment;

pub use variables::{VARIABLES, Variable, markdown};

/// Everything that a worker is told from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which Dalston the worker talks to.
    pub contract: Contract,
    /// The engine's id; its queue is named after it.
    pub engine_id: String,
    /// This worker's name.
    pub worker_id: String,
    /// The queue, with its credentials.
    pub redis_url: Secret,
    /// The store.
    pub store: StoreConfig,
    /// Where the engine is to run.
    pub device: DeviceChoice,
    /// The model of a task that names none; `None` leaves it to the engine.
    pub default_model: Option<String>,
    /// The folder that models are in; `None` leaves it to the engine.
    pub model_dir: Option<PathBuf>,
    /// How many models stay in memory, 1 to 64.
    pub max_loaded_models: usize,
    /// How many tasks an engine that can do several works on at a time, 1 to 64; `None` leaves it to the
    /// engine.
    pub max_in_flight: Option<usize>,
    /// How much of a GPU's memory the engine may take, in MB; `None` is all that is free.
    pub vram_budget_mb: Option<u64>,
    /// The port of health pages and metrics; 0 takes a free one.
    pub metrics_port: u16,
    /// What is logged, and how.
    pub logs: LogConfig,
    /// Silence after which a worker's tasks go to others.
    pub lease: Duration,
    /// What running work has after SIGTERM.
    pub grace: Duration,
    /// How often a task may take its worker down, 1 to 100.
    pub max_deliveries: u32,
    /// For the registry: where the pipeline runs.
    pub deploy_env: String,
    /// For the registry: the machine.
    pub hostname: String,
}

/// The object store. Credentials are not a part of it: they come by the usual chain of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The one bucket that tasks may name.
    pub bucket: String,
    /// Its region; `None` leaves it to the chain of AWS.
    pub region: Option<String>,
    /// A server of one's own; `None` is AWS.
    pub endpoint: Option<String>,
}

/// Where the engine is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, or nothing.
    Cuda,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// The format.
    pub format: LogFormat,
}

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object, in the words of the Python fleet.
    Json,
    /// For people.
    Console,
}

/// A value that is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value from being printed.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one who connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value that means nothing.
    #[error("{name} is {value}, expected {expected}")]
    Value {
        /// The variable that was set.
        name: &'static str,
        /// Its value, quoted; stars in place of a secret.
        value: String,
        /// What it may be.
        expected: String,
    },

    /// No text.
    #[error("{name} is not valid UTF-8")]
    NotText {
        /// The variable that was set.
        name: &'static str,
    },
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// `engine_id` is the engine's own id, where the environment gives no other.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: print it and end.
    pub fn from_env(engine_id: &str) -> Result<Self, ConfigError> {
        Self::read(
            &Environment(&|name: &str| std::env::var_os(name)),
            engine_id,
        )
    }

    fn read(environment: &Environment<'_>, engine_id: &str) -> Result<Self, ConfigError> {
        use variables as v;
        let hostname = environment.text_or(&v::HOSTNAME, host_name)?;
        Ok(Self {
            contract: environment.parsed_or(
                &v::CONTRACT,
                "m22, m22-typed or streams",
                Contract::M22,
            )?,
            engine_id: environment.id_or(&v::ENGINE_ID, || engine_id.to_owned())?,
            worker_id: environment.id_or(&v::WORKER_ID, || plain(&hostname))?,
            redis_url: environment.redis_url()?,
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
            metrics_port: environment.number(&v::METRICS_PORT, 0, 65535, 9100)? as u16,
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
            lease: Duration::from_secs(environment.number(&v::LEASE, 1, 3600, 15)?),
            grace: Duration::from_secs(environment.number(&v::GRACE, 0, 86400, 60)?),
            max_deliveries: environment.number(&v::MAX_DELIVERIES, 1, 100, 3)? as u32,
            deploy_env: environment.text_or(&v::DEPLOY_ENV, || "local".to_owned())?,
            hostname,
        })
    }
}

/// What the machine calls itself. Containers are called by their id, which outlives a restart.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// A host's name as a worker's name: what a key cannot hold becomes a dash.
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
