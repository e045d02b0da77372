//! The HTTP pages: `/health`, `/health/live`, `/health/ready`, `/metrics`, `/v1/capabilities`.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Report, Vitals};
use crate::contract::Dalston;
use crate::metrics::{self, Metrics};

/// The pages, bound to their port and not yet answering.
#[derive(Debug)]
pub struct Pages {
    listener: TcpListener,
    content: Content,
}

#[derive(Debug, Clone)]
struct Content {
    dalston: Arc<Dalston>,
    vitals: watch::Receiver<Vitals>,
    metrics: Arc<Metrics>,
}

/// Why the pages cannot be served. A worker that nobody can ask is not to run: end the process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The port is taken, or not this user's to take.
    #[error(
        "cannot serve health pages on port {port}; is another worker running here? \
         set DALSTON_METRICS_PORT"
    )]
    Bind {
        /// The port.
        port: u16,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl Pages {
    /// Takes the port, on every interface; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`].
    pub async fn bind(
        port: u16,
        dalston: Arc<Dalston>,
        vitals: watch::Receiver<Vitals>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ServeError> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
        Ok(Self {
            listener: listener.map_err(|source| ServeError::Bind { port, source })?,
            content: Content {
                dalston,
                vitals,
                metrics,
            },
        })
    }

    /// Where the pages are.
    ///
    /// # Errors
    ///
    /// That of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown` is done.
    ///
    /// # Errors
    ///
    /// That of the system.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let pages = Router::new()
            .route("/health", get(health))
            .route("/health/live", get(|| async { "live\n" }))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .route("/v1/capabilities", get(capabilities))
            .with_state(self.content);
        let serving = axum::serve(self.listener, pages);
        serving.with_graceful_shutdown(shutdown).await
    }
}

impl Content {
    /// The report as it stands, with a code.
    fn report(&self, code: StatusCode) -> Response {
        let vitals = self.vitals.borrow();
        let Dalston { contract, identity } = self.dalston.as_ref();
        json(code, &Report::new(*contract, identity, &vitals))
    }
}

async fn health(State(content): State<Content>) -> Response {
    content.report(StatusCode::OK)
}

async fn ready(State(content): State<Content>) -> Response {
    let is_ready = content.vitals.borrow().is_ready();
    content.report(match is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    })
}

async fn metrics(State(content): State<Content>) -> Response {
    let content_type = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (content_type, content.metrics.text()).into_response()
}

async fn capabilities(State(content): State<Content>) -> Response {
    let capabilities = content.dalston.identity.wire_capabilities();
    json(StatusCode::OK, &capabilities)
}

fn json(code: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_string(value).expect("text and numbers under string keys are JSON");
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (code, content_type, body).into_response()
}
