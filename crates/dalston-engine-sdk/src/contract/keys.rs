//! Keys of a task's objects: functions of its ids alone.

use object_store::path::Path;

use super::Contract;
use crate::error::TaskError;
use crate::queue::Claim;

/// `jobs/{job}/tasks/{task}/input.json` or `request.json`.
pub(super) fn request(contract: Contract, claim: &Claim) -> Result<Path, TaskError> {
    let name = match contract {
        Contract::M22 | Contract::M22Typed => "input.json",
        Contract::Streams => "request.json",
    };
    key(claim, name)
}

/// `jobs/{job}/tasks/{task}/output.json` or `response.json`.
pub(super) fn output(contract: Contract, claim: &Claim) -> Result<Path, TaskError> {
    let name = match contract {
        Contract::M22 | Contract::M22Typed => "output.json",
        Contract::Streams => "response.json",
    };
    key(claim, name)
}

fn key(claim: &Claim, name: &str) -> Result<Path, TaskError> {
    let task_id = &claim.task_id;
    if claim.metadata.is_empty() {
        // The sentence of Dalston's own engines, which people search for.
        let message = format!("Task metadata not found in Redis: {}", shown(task_id));
        return Err(TaskError::input(message));
    }
    let Some(job_id) = claim.metadata.get("job_id") else {
        let message = format!("task {} has no job_id in its hash", shown(task_id));
        return Err(TaskError::input(message));
    };
    for id in [job_id, task_id] {
        if !is_plain(id) {
            let message = format!("id {:?} cannot be a part of an object's key", shown(id));
            return Err(TaskError::input(message));
        }
    }
    let key = format!("jobs/{job_id}/tasks/{task_id}/{name}");
    Ok(Path::parse(key).expect("plain ids make a plain key"))
}

/// Ids are UUIDs; whatever is not made of the same kind of characters could name another object.
fn is_plain(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !id.is_empty() && id.len() <= 128 && id.chars().all(plain)
}

/// As much of a foreign text as fits into a sentence.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
