//! Log lines, parsed again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::{Level, debug, error, info, warn};

use super::*;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `work` and returns the lines that it logs.
fn logged(level: Level, work: impl FnOnce()) -> Vec<Value> {
    let page = Page::default();
    let config = LogConfig {
        level,
        format: LogFormat::Json,
    };
    let writer = page.clone();
    let subscriber =
        tracing_subscriber::registry().with(layer(config, "speech", move || writer.clone()));
    tracing::subscriber::with_default(subscriber, work);
    let bytes = page.0.lock().expect("no panic").clone();
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_line_has_the_keys_of_the_python_fleet() {
    let lines = logged(Level::INFO, || {
        info!(
            processing_time = 0.5,
            n = 3,
            ok = true,
            name = "a \"b\"\n",
            "task_completed"
        );
    });
    let mut line = lines[0].clone();
    let timestamp = line["timestamp"].as_str().expect("a time").to_owned();
    assert_eq!(
        (timestamp.len(), timestamp.ends_with('Z')),
        (27, true),
        "{timestamp}"
    );
    line["timestamp"] = json!("now");
    assert_eq!(
        line,
        json!({
            "event": "task_completed",
            "level": "info",
            "timestamp": "now",
            "service": "engine-speech",
            "logger": "dalston_engine_sdk::telemetry::tests",
            "processing_time": 0.5,
            "n": 3,
            "ok": true,
            "name": "a \"b\"\n",
        })
    );
}

#[test]
fn levels_are_called_as_the_python_fleet_calls_them() {
    let lines = logged(Level::INFO, || {
        error!("a");
        warn!("b");
        info!("c");
        debug!("d");
    });
    let levels: Vec<_> = lines.iter().map(|line| &line["level"]).collect();
    assert_eq!(levels, ["error", "warning", "info"]);
}

#[test]
fn insides_of_the_network_crates_are_not_logged() {
    let lines = logged(Level::DEBUG, || {
        debug!(target: "hyper::proto", "read 5 bytes");
        warn!(target: "object_store::client", "retry");
        debug!("ours");
    });
    let events: Vec<_> = lines.iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["retry", "ours"]);
}

#[test]
fn lines_within_a_task_carry_its_ids_and_those_of_its_trace() {
    let trace = r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
    let metadata: BTreeMap<_, _> = [
        ("job_id", "j1"),
        ("stage", "transcribe_ch1"),
        ("_trace_context", trace),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let claim = Claim {
        task_id: "t1".into(),
        metadata,
        ..Claim::default()
    };
    let lines = logged(Level::ERROR, || {
        let _task = task_span(&claim, "speech").entered();
        error!(job_id = "of the event", "task_failed");
        record_model(&"m".repeat(1000));
        error!("the name that the task gives");
        record_model("maker/model");
        error!("the engine's name");
    });
    for (name, value) in [
        ("task_id", "t1"),
        ("engine_id", "speech"),
        ("stage", "transcribe_ch1"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("span_id", "00f067aa0ba902b7"),
        ("job_id", "of the event"),
    ] {
        assert_eq!(lines[0][name], value, "{name}");
    }
    assert!(lines[0].get("request_id").is_none());
    assert!(lines[0].get("model").is_none());
    assert_eq!(lines[1]["model"], "m".repeat(100));
    assert_eq!(lines[2]["model"], "maker/model");
    assert_eq!(lines[2]["task_id"], "t1");
}
