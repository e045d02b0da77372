//! The objects of one task: downloads its request and files, and notes whether the store answers.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::runner::Runner;
use crate::contract::Request;
use crate::engine::TaskInput;
use crate::error::{ErrorKind, TaskError};
use crate::queue::Claim;

impl Runner {
    /// Downloads and reads the task's request.
    pub(super) async fn request(&self, claim: &Arc<Claim>) -> Result<Request, TaskError> {
        let key = self.protocol.request_key(claim)?;
        let body = self.note_store(self.artifacts.read(&key).await)?;
        let body = body.ok_or_else(|| {
            TaskError::input(format!(
                "the task's request is missing: there is no object {key}"
            ))
        })?;
        let (protocol, claim) = (Arc::clone(&self.protocol), Arc::clone(claim));
        // The body may have 64 MiB.
        aside(move || protocol.read_request(&claim, &body)).await
    }

    /// Downloads the request's files into a folder, which is removed when it is dropped.
    ///
    /// Moves `previous_outputs` from the request to the input: only the engine reads them, and they may
    /// be large.
    pub(super) async fn fetch(
        &self,
        claim: &Claim,
        request: &mut Request,
    ) -> Result<(TaskInput, TaskFolder), TaskError> {
        let folder = tempfile::Builder::new()
            .prefix("task-")
            .tempdir_in(&self.settings.scratch)
            .map_err(|err| TaskError::unavailable("there is no room for files").caused_by(err))?;
        let folder = TaskFolder(Some(folder));
        let mut input = TaskInput {
            task_id: claim.task_id.clone(),
            job_id: claim.job_id().to_owned(),
            stage: request.stage.clone(),
            ..TaskInput::default()
        };
        input.previous_outputs = std::mem::take(&mut request.previous_outputs);
        input.config = request.config.clone();
        for (n, (input_name, uri)) in request.files.iter().enumerate() {
            let file = folder.path().join(file_name(n, uri));
            self.note_store(self.artifacts.download(uri, &file).await)?;
            input.files.insert(input_name.clone(), file);
        }
        Ok((input, folder))
    }

    /// Records whether the store answered, and passes the answer on. An error about the task alone, such
    /// as a missing object, is an answer.
    pub(super) fn note_store<T>(&self, answer: Result<T, TaskError>) -> Result<T, TaskError> {
        let is_unavailable = matches!(&answer, Err(err) if err.kind() == ErrorKind::Unavailable);
        self.status.store_answered(!is_unavailable);
        answer
    }
}

/// The folder of a task's files, which is removed when this value is dropped.
pub(super) struct TaskFolder(Option<TempDir>);

impl TaskFolder {
    fn path(&self) -> &Path {
        let folder = self.0.as_ref();
        folder.expect("only the drop takes it").path()
    }
}

impl Drop for TaskFolder {
    fn drop(&mut self) {
        let folder = self.0.take();
        // Removing gigabytes may take seconds. If the runtime ends first, it drops the closure, which removes
        // the folder as well.
        if tokio::runtime::Handle::try_current().is_ok() {
            spawn_blocking(move || drop(folder));
        }
    }
}

/// Runs work that takes long on a thread that may block, so that the other slots go on.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(err) => match err.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and drops this future as well.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A file name that takes nothing from the task but the extension, by which some formats are recognised.
/// An extension that is long or not alphanumeric is left out.
fn file_name(n: usize, uri: &str) -> String {
    let extension = Path::new(uri)
        .extension()
        .and_then(|extension| extension.to_str());
    let is_plain = |text: &&str| text.len() <= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match extension.filter(is_plain) {
        Some(extension) => format!("{n}.{extension}"),
        None => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_ending_and_nothing_else_of_its_name() {
        assert_eq!(file_name(0, "s3://b/jobs/1/audio/original.mp3"), "0.mp3");
        assert_eq!(file_name(1, "s3://b/../../x./etc"), "1");
        assert_eq!(file_name(2, "s3://b/a.wav%00"), "2");
    }
}
