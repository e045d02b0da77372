//! The pages, read over a real connection.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;
use crate::contract::{Contract, Identity, Protocol};
use crate::engine::{Capabilities, EngineHealth};
use crate::metrics::{Metrics, Outcome};
use crate::status::{Link, Phase, WorkerStatus};

struct Served {
    port: u16,
    status: watch::Sender<WorkerStatus>,
    metrics: Arc<Metrics>,
}

fn protocol(contract: Contract) -> Arc<Protocol> {
    Arc::new(Protocol {
        contract,
        identity: Identity {
            engine_id: "speech".into(),
            instance: "speech-1".into(),
            hostname: "box".into(),
            node_id: "i-1".into(),
            deploy_env: "local".into(),
            capabilities: Capabilities {
                supports_word_timestamps: true,
                ..Capabilities::default()
            },
            registered_at: UNIX_EPOCH,
        },
    })
}

/// Serves pages until the test ends.
async fn served() -> Served {
    served_as(Contract::M22, true).await
}

async fn served_as(contract: Contract, has_metrics: bool) -> Served {
    let (status, receiver) = watch::channel(WorkerStatus::default());
    let metrics = Arc::new(Metrics::new("speech"));
    let pages = Pages::bind(
        0,
        protocol(contract),
        receiver,
        has_metrics.then(|| metrics.clone()),
    );
    let pages = pages.await.expect("a free port");
    let port = pages.address().expect("an address").port();
    tokio::spawn(pages.serve(std::future::pending()));
    Served {
        port,
        status,
        metrics,
    }
}

/// HTTP status code and body of a page.
async fn page(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("pages");
    let request = format!("GET {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("pages");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("pages");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let code = head.split(' ').nth(1).expect("a code");
    (code.parse().expect("a code"), body.to_owned())
}

#[tokio::test]
async fn a_worker_that_loads_is_alive_and_not_ready() {
    let served = served().await;
    assert_eq!(page(served.port, "/health/live").await.0, 200);
    assert_eq!(page(served.port, "/health/ready").await.0, 503);
    let (code, body) = page(served.port, "/health").await;
    let report: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &report["status"]), (200, &json!("loading")));
}

#[tokio::test]
async fn health_has_the_plans_fields() {
    let served = served().await;
    served.status.send_replace(WorkerStatus {
        phase: Phase::Processing,
        n_in_flight: 1,
        capacity: 16,
        engine: EngineHealth {
            model_name: Some("a/b".into()),
            models_loaded: vec!["a/b".into()],
            device: "cuda".into(),
            cuda_available: true,
            cuda_device_count: 1,
            gpu_memory_used_bytes: Some(2_540_000_000),
            gpu_memory_total_bytes: Some(24_000_000_000),
        },
        queue: Link::Connected,
        store: Link::Connected,
        disk: Link::Unavailable,
    });
    // The disk may have room for the next file.
    assert_eq!(page(served.port, "/health/ready").await.0, 200);
    let (_, body) = page(served.port, "/health").await;
    let report: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        report,
        json!({
            "status": "degraded",
            "engine_id": "speech",
            "instance": "speech-1",
            "contract": "m22",
            "model_loaded": true,
            "model_name": "a/b",
            "models_loaded": ["a/b"],
            "model_count": 1,
            "device": "cuda",
            "cuda_available": true,
            "cuda_device_count": 1,
            "gpu_memory_used": "2.5GB",
            "gpu_memory_total": "24.0GB",
            "active_tasks": 1,
            "queue": "connected",
            "store": "connected",
            "disk": "unavailable",
        })
    );
}

#[tokio::test]
async fn a_worker_that_drains_or_lost_a_server_is_not_ready() {
    let served = served().await;
    for (phase, queue, store, summary) in [
        (
            Phase::Draining,
            Link::Connected,
            Link::Connected,
            "draining",
        ),
        (Phase::Idle, Link::Unavailable, Link::Connected, "degraded"),
        (Phase::Idle, Link::Connected, Link::Unknown, "degraded"),
        (
            Phase::Processing,
            Link::Connected,
            Link::Unavailable,
            "degraded",
        ),
    ] {
        served.status.send_modify(|status| {
            status.phase = phase;
            (status.queue, status.store) = (queue, store);
        });
        let (code, body) = page(served.port, "/health/ready").await;
        let report: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((code, &report["status"]), (503, &json!(summary)));
        // Not ready is no reason to restart the worker.
        assert_eq!(page(served.port, "/health").await.0, 200);
    }
}

#[tokio::test]
async fn a_worker_whose_engine_hangs_is_not_alive() {
    let served = served().await;
    served.status.send_modify(|it| it.phase = Phase::Hung);
    assert_eq!(page(served.port, "/health/live").await.0, 503);
    let (code, body) = page(served.port, "/health").await;
    let report: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &report["status"]), (200, &json!("hung")));
}

#[tokio::test]
async fn capabilities_and_metrics_are_served() {
    let served = served().await;
    let (_, body) = page(served.port, "/v1/capabilities").await;
    let capabilities: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(capabilities["supports_word_timestamps"], true);
    served
        .metrics
        .task_ended(Outcome::Completed, Some("a/b"), Duration::from_secs(2));
    let (code, body) = page(served.port, "/metrics").await;
    assert_eq!(code, 200);
    assert!(
        body.contains("dalston_engine_tasks_processed_total{"),
        "{body}"
    );
    assert_eq!(page(served.port, "/").await.0, 404);
}

#[tokio::test]
async fn debug_status_has_what_health_has_and_what_the_registry_gets() {
    let served = served_as(Contract::Streams, true).await;
    served.status.send_modify(|status| {
        status.phase = Phase::Processing;
        (status.n_in_flight, status.capacity) = (3, 16);
        status.store = Link::Connected;
    });
    let (code, body) = page(served.port, "/debug/status").await;
    let status: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &status["status"]), (200, &json!("healthy")));
    assert_eq!(status["phase"], "processing");
    assert_eq!(
        (&status["active_tasks"], &status["capacity"]),
        (&json!(3), &json!(16))
    );
    assert_eq!(status["node_id"], "i-1");
    assert_eq!(status["registry_record"]["capacity"], "16");
    let (_, body) = page(served_as(Contract::M22, true).await.port, "/debug/status").await;
    let status: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(status["registry_record"], Value::Null);
}

#[tokio::test]
async fn a_worker_without_metrics_can_still_be_asked_for_its_health() {
    let served = served_as(Contract::M22, false).await;
    assert_eq!(page(served.port, "/metrics").await.0, 404);
    assert_eq!(page(served.port, "/health/live").await.0, 200);
    ask(served.port).await.expect("a worker");
}

#[tokio::test]
async fn a_taken_port_is_said_loudly() {
    let served = served().await;
    let (_, receiver) = watch::channel(WorkerStatus::default());
    let second = Pages::bind(served.port, protocol(Contract::M22), receiver, None).await;
    let err = second.expect_err("the port is taken");
    let message = format!(
        "cannot serve health pages on port {}; is another worker running here? \
         set DALSTON_METRICS_PORT",
        served.port
    );
    assert_eq!(err.to_string(), message);
}

#[tokio::test]
async fn a_worker_can_be_asked_as_a_container_does() {
    let served = served().await;
    let body = ask(served.port).await.expect("a worker");
    let report: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(report["engine_id"], "speech");
}

#[tokio::test]
async fn nobody_on_the_port_is_no_worker() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let err = ask(port).await.expect_err("nobody listens");
    assert_eq!(err.to_string(), format!("no worker answers on port {port}"));
}
