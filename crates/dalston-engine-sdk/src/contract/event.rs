//! Events about a task, as the orchestrator reads them.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::queue::{Claim, Event};
use crate::timestamp;

/// What happened to a task.
#[derive(Clone, Copy, Debug)]
pub enum TaskEvent<'a> {
    /// Work on the task begins.
    Started,
    /// The task's result is stored.
    Completed,
    /// The task ended without a result; one sentence says why.
    Failed(&'a str),
}

/// The JSON for the channel `dalston:events`.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    #[serde(flatten)]
    payload: Payload<'a>,
    timestamp: &'a str,
}

/// The payload of the entry in `dalston:events:stream`.
#[derive(Serialize, Clone, Copy)]
struct Payload<'a> {
    task_id: &'a str,
    job_id: &'a str,
    engine_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Writes an event in both of its forms: the channel's message and the stream's fields.
pub(super) fn write(engine_id: &str, claim: &Claim, event: TaskEvent<'_>) -> Event {
    let (r#type, error) = match event {
        TaskEvent::Started => ("task.started", None),
        TaskEvent::Completed => ("task.completed", None),
        TaskEvent::Failed(error) => ("task.failed", Some(error)),
    };
    let timestamp = timestamp::format(SystemTime::now());
    let payload = Payload {
        task_id: &claim.task_id,
        job_id: claim.job_id(),
        engine_id,
        error,
    };
    let message = Message {
        r#type,
        payload,
        timestamp: &timestamp,
    };
    let mut fields = vec![
        ("type".to_owned(), r#type.to_owned()),
        ("payload".to_owned(), json(&payload)),
    ];
    // A worker exports no spans of its own. The span that caused this task is therefore also the parent
    // of what the orchestrator does after this event.
    let trace_context = claim.metadata.get("_trace_context");
    if let Some(context) = trace_context.filter(|it| is_object(it)) {
        fields.push(("_trace_context".to_owned(), context.clone()));
    }
    let message = json(&message);
    fields.insert(1, ("timestamp".to_owned(), timestamp));
    Event { message, fields }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings under string keys are JSON")
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}
