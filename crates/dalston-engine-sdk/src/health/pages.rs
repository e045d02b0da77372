//! The HTTP pages: `/health`, `/health/live`, `/health/ready`, `/metrics`, `/v1/capabilities`,
//! `/debug/status`.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::contract::{Protocol, gigabytes};
use crate::metrics::{self, Metrics};
use crate::status::{Link, Phase, WorkerStatus};

/// The pages, bound to their port and not yet answering.
#[derive(Debug)]
pub struct Pages {
    listener: TcpListener,
    content: Content,
}

#[derive(Debug, Clone)]
struct Content {
    protocol: Arc<Protocol>,
    status: watch::Receiver<WorkerStatus>,
    /// `None`: `/metrics` is not served.
    metrics: Option<Arc<Metrics>>,
    started: Instant,
}

/// Why the pages cannot be served. End the process: nobody could check the health of such a worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The port is taken, or this user may not bind it.
    #[error(
        "cannot serve health pages on port {port}; is another worker running here? \
         set DALSTON_METRICS_PORT"
    )]
    Bind {
        /// The port.
        port: u16,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl Pages {
    /// Binds the port, on every interface; port 0 binds a free one. Without metrics, `/metrics` answers 404.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`].
    pub async fn bind(
        port: u16,
        protocol: Arc<Protocol>,
        status: watch::Receiver<WorkerStatus>,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self, ServeError> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
        Ok(Self {
            listener: listener.map_err(|source| ServeError::Bind { port, source })?,
            content: Content {
                protocol,
                status,
                metrics,
                started: Instant::now(),
            },
        })
    }

    /// The address that the pages are bound to.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers requests until `shutdown` completes.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let pages = Router::new()
            .route("/health", get(health))
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .route("/v1/capabilities", get(capabilities))
            .route("/debug/status", get(debug_status))
            .with_state(self.content);
        let serving = axum::serve(self.listener, pages);
        serving.with_graceful_shutdown(shutdown).await
    }
}

/// The body of `/health`: the plan's fields, HEAD's fields, and the state of both connections and of the
/// disk.
#[derive(Debug, Serialize)]
struct Report<'a> {
    status: &'static str,
    engine_id: &'a str,
    instance: &'a str,
    contract: String,
    model_loaded: bool,
    model_name: Option<&'a str>,
    models_loaded: &'a [String],
    model_count: usize,
    device: &'a str,
    cuda_available: bool,
    cuda_device_count: u32,
    gpu_memory_used: String,
    gpu_memory_total: String,
    active_tasks: u32,
    queue: Link,
    store: Link,
    disk: Link,
}

impl<'a> Report<'a> {
    fn new(protocol: &'a Protocol, status: &'a WorkerStatus) -> Self {
        let (identity, engine) = (&protocol.identity, &status.engine);
        Self {
            status: summary(status),
            engine_id: &identity.engine_id,
            instance: &identity.instance,
            contract: protocol.contract.to_string(),
            model_loaded: !engine.models_loaded.is_empty(),
            model_name: engine.model_name.as_deref(),
            models_loaded: &engine.models_loaded,
            model_count: engine.models_loaded.len(),
            device: &engine.device,
            cuda_available: engine.cuda_available,
            cuda_device_count: engine.cuda_device_count,
            gpu_memory_used: gigabytes(engine.gpu_memory_used_bytes),
            gpu_memory_total: gigabytes(engine.gpu_memory_total_bytes),
            active_tasks: status.n_in_flight,
            queue: status.queue,
            store: status.store,
            disk: status.disk,
        }
    }
}

/// The status in one word.
fn summary(status: &WorkerStatus) -> &'static str {
    match status.phase {
        Phase::Loading => "loading",
        Phase::Draining => "draining",
        Phase::Hung => "hung",
        Phase::Idle | Phase::Processing if !status.is_ready() => "degraded",
        Phase::Idle | Phase::Processing if status.disk == Link::Unavailable => "degraded",
        Phase::Idle | Phase::Processing => "healthy",
    }
}

impl Content {
    /// The report as it is now, with an HTTP status code.
    fn report(&self, code: StatusCode) -> Response {
        let status = self.status.borrow();
        json(code, &Report::new(&self.protocol, &status))
    }
}

async fn health(State(content): State<Content>) -> Response {
    content.report(StatusCode::OK)
}

async fn live(State(content): State<Content>) -> (StatusCode, &'static str) {
    match content.status.borrow().is_alive() {
        true => (StatusCode::OK, "live\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "hung\n"),
    }
}

async fn ready(State(content): State<Content>) -> Response {
    let is_ready = content.status.borrow().is_ready();
    content.report(match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    })
}

async fn metrics(State(content): State<Content>) -> Response {
    let Some(metrics) = content.metrics else {
        return (StatusCode::NOT_FOUND, "DALSTON_METRICS_ENABLED is false\n").into_response();
    };
    let content_type = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (content_type, metrics.text()).into_response()
}

async fn capabilities(State(content): State<Content>) -> Response {
    let capabilities = content.protocol.identity.wire_capabilities();
    json(StatusCode::OK, &capabilities)
}

/// The body of `/debug/status`: the report, and all else that a person asks about a worker.
#[derive(Serialize)]
struct DebugStatus<'a> {
    #[serde(flatten)]
    report: Report<'a>,
    phase: String,
    /// How many tasks the worker takes at once; 0 while the engine loads for the first time.
    capacity: u32,
    version: &'a str,
    hostname: &'a str,
    node_id: &'a str,
    deploy_env: &'a str,
    uptime_s: u64,
    /// The fields that the next heartbeat writes into the registry; null in a contract without registry.
    registry_record: Option<BTreeMap<String, String>>,
}

async fn debug_status(State(content): State<Content>) -> Response {
    let status = content.status.borrow();
    let identity = &content.protocol.identity;
    let record = content.protocol.record(&status);
    let page = DebugStatus {
        report: Report::new(&content.protocol, &status),
        phase: format!("{:?}", status.phase).to_lowercase(),
        capacity: status.capacity,
        version: &identity.capabilities.version,
        hostname: &identity.hostname,
        node_id: &identity.node_id,
        deploy_env: &identity.deploy_env,
        uptime_s: content.started.elapsed().as_secs(),
        registry_record: record.map(|it| it.fields.into_iter().collect()),
    };
    json(StatusCode::OK, &page)
}

fn json(code: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_string(value).expect("text and numbers under string keys are JSON");
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (code, content_type, body).into_response()
}
