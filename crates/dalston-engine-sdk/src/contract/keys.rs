//! Keys of a task's objects: functions of the task's ids alone.

use object_store::path::Path;

use crate::error::TaskError;
use crate::queue::Claim;

/// The key of one of a task's objects: `jobs/{job}/tasks/{task}/{file}`.
///
/// # Errors
///
/// `Input` if the task has no hash, no job, or an id that could name an object of another task.
pub(super) fn object(claim: &Claim, file: &str) -> Result<Path, TaskError> {
    let task_id = &claim.task_id;
    if claim.metadata.is_empty() {
        // Dalston's own engines write this sentence, and people search for it.
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
    let key = format!("jobs/{job_id}/tasks/{task_id}/{file}");
    Ok(Path::parse(key).expect("plain ids make a plain key"))
}

/// Whether an id has only the characters of a UUID and a few more. Any other character could make the key
/// that of another object.
fn is_plain(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !id.is_empty() && id.len() <= 128 && id.chars().all(plain)
}

/// The first 100 characters of a text from outside, so that it fits into an error's sentence.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
