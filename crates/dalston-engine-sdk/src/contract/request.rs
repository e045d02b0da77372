//! Reads a task's request: `input.json` of the M22 era, `request.json` of HEAD.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::keys::shown;
use crate::error::TaskError;
use crate::queue::Claim;
use crate::timestamp;

/// A task's request, read; its files are not downloaded yet.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The stage: `transcribe`, `transcribe_ch0`.
    pub stage: String,
    /// The files to download: input name and `s3://` URI.
    pub files: Vec<(String, String)>,
    /// The outputs of earlier stages, by stage.
    pub previous_outputs: Map<String, Value>,
    /// The settings, as sent.
    pub config: Map<String, Value>,
    /// How long the work may take from its start; `None` where the pipeline does not say so.
    pub budget: Option<Duration>,
}

/// The input name under which an engine finds a task's audio. Dalston calls an input name a slot.
const AUDIO: &str = "audio";

/// `input.json` of the M22 era. Unknown keys are ignored, as that era's own reader ignores them.
#[derive(Deserialize)]
struct Input {
    task_id: String,
    job_id: String,
    audio_uri: Option<String>,
    #[serde(default)]
    previous_outputs: Map<String, Value>,
    #[serde(default)]
    config: Map<String, Value>,
}

/// `request.json` of HEAD. Unknown keys are ignored.
#[derive(Deserialize)]
struct TaskRequest {
    task_id: String,
    job_id: String,
    #[serde(default)]
    resolved_artifact_ids: BTreeMap<String, String>,
    #[serde(default)]
    artifact_index: BTreeMap<String, Artifact>,
    #[serde(default)]
    previous_responses: Map<String, Value>,
    #[serde(default)]
    config: Map<String, Value>,
}

#[derive(Deserialize)]
struct Artifact {
    storage_locator: String,
}

/// Reads `input.json`.
///
/// In the M22 era `audio_uri` of the transcribe stage is the user's upload, although the prepare stage has
/// already made a 16 kHz file. The prepared file is read where the prepare stage names one. A task for one
/// channel has the channel's own prepared file as its `audio_uri`.
pub(super) fn read_input(claim: &Claim, body: &[u8]) -> Result<Request, TaskError> {
    let input: Input = parse("input.json", body)?;
    check_ids("input.json", claim, &input.task_id, &input.job_id)?;
    let prepared = input.previous_outputs.get("prepare");
    let prepared = prepared.and_then(|it| it.get("audio_uri")?.as_str());
    let for_channel = input.config.get("channel").is_some_and(|it| !it.is_null());
    let audio = match prepared {
        Some(uri) if !for_channel => Some(uri.to_owned()),
        _ => input.audio_uri,
    };
    Ok(Request {
        stage: stage(claim),
        files: audio
            .map(|uri| (AUDIO.to_owned(), uri))
            .into_iter()
            .collect(),
        previous_outputs: input.previous_outputs,
        config: input.config,
        budget: None,
    })
}

/// Reads `request.json`. If the task's hash names artifacts, they replace those that the file names.
///
/// HEAD calls the model `loaded_model_id`; the M22 era calls it `model`, which is what engines read.
pub(super) fn read_request(claim: &Claim, body: &[u8]) -> Result<Request, TaskError> {
    let mut request: TaskRequest = parse("request.json", body)?;
    check_ids("request.json", claim, &request.task_id, &request.job_id)?;
    if let Some(resolved) = claim.metadata.get("resolved_artifact_ids_json") {
        let name = "resolved_artifact_ids_json in the task's hash";
        request.resolved_artifact_ids = parse(name, resolved.as_bytes())?;
    }
    let mut files = Vec::new();
    for (input_name, id) in &request.resolved_artifact_ids {
        let Some(artifact) = request.artifact_index.get(id) else {
            let slot = shown(input_name);
            let message = format!("request.json fills slot {slot:?} with an artifact it lacks");
            return Err(TaskError::input(message));
        };
        files.push((input_name.clone(), artifact.storage_locator.clone()));
    }
    if let Some(model) = request.config.remove("loaded_model_id") {
        request.config.entry("model").or_insert(model);
    }
    Ok(Request {
        stage: stage(claim),
        files,
        previous_outputs: request.previous_responses,
        config: request.config,
        budget: budget(claim)?,
    })
}

/// The time between the two stamps of the stream's message.
///
/// HEAD stamps a task when it adds the task to the queue, and its own engines count the time from the start of
/// their work. So the time in the queue does not count, and neither does this machine's clock. Stamps in the
/// wrong order give `None`.
fn budget(claim: &Claim) -> Result<Option<Duration>, TaskError> {
    let Some(text) = claim.message.get("timeout_at") else {
        return Ok(None);
    };
    let timeout_at = timestamp::parse(text).ok_or_else(|| {
        let text = shown(text);
        TaskError::input(format!(
            "timeout_at is {text:?}, expected an ISO 8601 time with an offset"
        ))
    })?;
    let enqueued_at = claim.enqueued_at();
    let budget = enqueued_at.and_then(|it| timeout_at.duration_since(it).ok());
    Ok(budget.filter(|it| !it.is_zero()))
}

fn stage(claim: &Claim) -> String {
    claim.metadata.get("stage").cloned().unwrap_or_default()
}

fn parse<T: DeserializeOwned>(name: &str, body: &[u8]) -> Result<T, TaskError> {
    serde_json::from_slice(body).map_err(|err| {
        // The error quotes the text that it found, which may be of any length.
        let reason: String = err.to_string().chars().take(150).collect();
        TaskError::input(format!("{name} cannot be read: {reason}"))
    })
}

/// Refuses the request of another task: its result would be stored as the result of this one.
fn check_ids(name: &str, claim: &Claim, task_id: &str, job_id: &str) -> Result<(), TaskError> {
    if task_id == claim.task_id && job_id == claim.job_id() {
        return Ok(());
    }
    let message = format!("{name} is of another task than the one it belongs to");
    Err(TaskError::input(message))
}
