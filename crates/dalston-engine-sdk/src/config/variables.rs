//! Every environment variable that a worker reads, in one table.

/// A setting that comes from the environment.
#[derive(Debug)]
pub struct Variable {
    /// The variable's name in today's pipeline.
    pub name: &'static str,
    /// The variable's name in the M22 era, or another name that is also read; empty if there is none.
    pub fallback: &'static str,
    /// The value when neither name is set, in words or as a person would type it.
    pub default: &'static str,
    /// What the variable sets.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($name:ident: $variable:literal or $fallback:literal, $default:literal, $meaning:literal;)*) => {
        $(pub(super) const $name: Variable = Variable {
            name: $variable,
            fallback: $fallback,
            default: $default,
            meaning: $meaning,
        };)*

        /// All variables, in the order of the manual.
        pub const VARIABLES: &[&Variable] = &[$(&$name),*];
    };
}

variables! {
    CONTRACT: "DALSTON_CONTRACT" or "", "m22",
        "which Dalston the worker talks to: m22, m22-typed or streams";
    ENGINE_ID: "DALSTON_ENGINE_ID" or "ENGINE_ID", "the engine's own id",
        "the engine's id; its queue is named after it";
    WORKER_ID: "DALSTON_WORKER_ID" or "DALSTON_INSTANCE", "the host's or the container's own name",
        "this worker's name: the same after a restart, and no other worker's";
    REDIS_URL: "REDIS_URL" or "", "redis://localhost:6379",
        "where the queue is: redis://, rediss://, unix:// or redis+sentinel://; see pipeline.md";
    ALLOW_EVICTION: "DALSTON_ALLOW_EVICTION" or "", "false",
        "true starts a worker although Redis may evict keys (maxmemory-policy), which loses tasks";
    S3_BUCKET: "DALSTON_S3_BUCKET" or "S3_BUCKET", "dalston-artifacts",
        "the one bucket that tasks may name";
    S3_REGION: "DALSTON_S3_REGION" or "S3_REGION", "AWS_REGION, else us-east-1",
        "the bucket's region";
    S3_ENDPOINT: "DALSTON_S3_ENDPOINT_URL" or "S3_ENDPOINT_URL", "that of AWS",
        "a server of your own, http:// or https://";
    DEVICE: "DALSTON_DEVICE" or "DEVICE", "auto",
        "auto, cpu or cuda; cuda without a GPU is an error, auto takes the CPU then";
    DEFAULT_MODEL: "DALSTON_DEFAULT_MODEL" or "", "the engine's own",
        "the model of a task that names none";
    MODEL_DIR: "DALSTON_MODEL_DIR" or "", "/models, else ./models",
        "the folder that models are in";
    MAX_LOADED_MODELS: "DALSTON_MAX_LOADED_MODELS" or "", "2",
        "how many models stay in memory, 1 to 64";
    MAX_IN_FLIGHT: "DALSTON_BATCH_MAX_INFLIGHT" or "", "the engine's own",
        "how many tasks share the engine's batches, 1 to 64";
    VRAM_BUDGET_MB: "DALSTON_VRAM_BUDGET_MB" or "", "all that is free",
        "how much of a GPU's memory the engine may take, in MB";
    MAX_SEGMENT_CHARS: "DALSTON_MAX_SEGMENT_CHARS" or "", "80",
        "how many characters a segment has at most if the task says nothing, 0 to 10000; 0 is no limit";
    METRICS_PORT: "DALSTON_METRICS_PORT" or "", "9100",
        "the port of health pages and metrics; 0 takes a free one";
    METRICS_ENABLED: "DALSTON_METRICS_ENABLED" or "", "true",
        "true or false; false takes /metrics from the port, and the health pages stay";
    LOG_LEVEL: "DALSTON_LOG_LEVEL" or "LOG_LEVEL", "info",
        "error, warning, info or debug";
    LOG_FORMAT: "DALSTON_LOG_FORMAT" or "LOG_FORMAT", "json",
        "json, one object per line, or console, for people";
    LEASE: "DALSTON_LEASE_S" or "", "15",
        "seconds of silence after which a worker's tasks go to others, 1 to 300; the same for all workers of an engine";
    GRACE: "DALSTON_GRACE_S" or "", "60",
        "seconds that running work has after SIGTERM, 0 to 86400; then it goes back to the queue";
    MAX_DELIVERIES: "DALSTON_MAX_DELIVERIES" or "", "3",
        "how often a task may take its worker down before it fails, 1 to 100";
    TASK_TIMEOUT: "DALSTON_DEFAULT_TASK_TIMEOUT_S" or "", "3600",
        "seconds of work that a task may take if Dalston does not say so, 1 to 604800";
    WATCHDOG: "DALSTON_WATCHDOG_S" or "", "600",
        "seconds without progress of any task after which the worker ends, 0 to 86400; 0 is never";
    DEFERRAL_LIMIT: "DALSTON_DEFERRAL_S" or "", "3600",
        "seconds that a task may wait for an object of its own or for room on the disk, 1 to 604800; then it fails, or after 20 tries and a sixth of this time";
    DEPLOY_ENV: "DALSTON_DEPLOY_ENV" or "", "local",
        "what the registry says about where the pipeline runs";
    HOSTNAME: "DALSTON_HOST_HOSTNAME" or "HOSTNAME", "the host's or the container's own name",
        "what the registry says about the machine; never a worker's name";
    NODE_ID: "DALSTON_NODE_ID" or "", "the machine's name",
        "what the registry says about the node: on EC2 the instance id, where Dalston's autoscaler runs";
    NODE_ID_FROM_AWS: "DALSTON_NODE_ID_FROM_AWS" or "", "false",
        "true or false; true asks the metadata service of EC2 (IMDSv2) if no node id is set";
}

/// The table as Markdown, for the manual. The store's credentials have no row: they come from AWS's usual
/// chain.
pub fn markdown() -> String {
    let row = |it: &&Variable| {
        let fallback = match it.fallback {
            "" => String::new(),
            name => format!("`{name}`"),
        };
        format!(
            "| `{}` | {fallback} | {} | {} |\n",
            it.name, it.default, it.meaning
        )
    };
    let head = "| Variable | Also | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    head + &VARIABLES.iter().map(row).collect::<String>()
}
