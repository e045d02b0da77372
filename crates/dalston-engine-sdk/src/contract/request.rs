//! Reads a task's request: `input.json` of the M22 era, `request.json` of HEAD.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::keys::shown;
use super::timestamp;
use crate::error::TaskError;
use crate::queue::Claim;
use crate::runner::Request;

/// The slot under which an engine finds a task's audio.
const AUDIO: &str = "audio";

/// Of the M22 era. Unknown keys are left alone, as that era's own reader did.
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

/// Of HEAD.
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
/// The era hands the transcribe stage the user's upload, as `audio_uri`, although the prepared file of
/// 16 kHz is there: that one is taken where the prepare stage names it. A task for one channel has the
/// channel's own prepared file as its `audio_uri`.
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
        deadline: None,
    })
}

/// Reads `request.json`; the artifacts that the task's hash names go before those of the file.
///
/// The model is called `loaded_model_id` at HEAD and `model` before; engines read `model`.
pub(super) fn read_request(claim: &Claim, body: &[u8]) -> Result<Request, TaskError> {
    let mut request: TaskRequest = parse("request.json", body)?;
    check_ids("request.json", claim, &request.task_id, &request.job_id)?;
    if let Some(resolved) = claim.metadata.get("resolved_artifact_ids_json") {
        let name = "resolved_artifact_ids_json in the task's hash";
        request.resolved_artifact_ids = parse(name, resolved.as_bytes())?;
    }
    let mut files = Vec::new();
    for (slot, id) in &request.resolved_artifact_ids {
        let Some(artifact) = request.artifact_index.get(id) else {
            let slot = shown(slot);
            let message = format!("request.json fills slot {slot:?} with an artifact it lacks");
            return Err(TaskError::input(message));
        };
        files.push((slot.clone(), artifact.storage_locator.clone()));
    }
    if let Some(model) = request.config.remove("loaded_model_id") {
        request.config.entry("model").or_insert(model);
    }
    Ok(Request {
        stage: stage(claim),
        files,
        previous_outputs: request.previous_responses,
        config: request.config,
        deadline: deadline(claim)?,
    })
}

/// Of the stream's message: Dalston's own engines look into the hash, where it never is.
fn deadline(claim: &Claim) -> Result<Option<std::time::SystemTime>, TaskError> {
    let Some(text) = claim.message.get("timeout_at") else {
        return Ok(None);
    };
    let time = timestamp::parse(text);
    time.map(Some).ok_or_else(|| {
        let text = shown(text);
        TaskError::input(format!(
            "timeout_at is {text:?}, expected an ISO 8601 time with an offset"
        ))
    })
}

fn stage(claim: &Claim) -> String {
    claim.metadata.get("stage").cloned().unwrap_or_default()
}

fn parse<T: DeserializeOwned>(name: &str, body: &[u8]) -> Result<T, TaskError> {
    serde_json::from_slice(body).map_err(|err| {
        // The error quotes what it found, however long that is.
        let reason: String = err.to_string().chars().take(150).collect();
        TaskError::input(format!("{name} cannot be read: {reason}"))
    })
}

/// A request under another task's key would put this result into that task's hands.
fn check_ids(name: &str, claim: &Claim, task_id: &str, job_id: &str) -> Result<(), TaskError> {
    if task_id == claim.task_id && job_id == claim.job_id() {
        return Ok(());
    }
    let message = format!("{name} is of another task than the one it belongs to");
    Err(TaskError::input(message))
}
