//! The objects of one task: downloads its request and files, stores its result, and notes whether store and
//! disk answer.

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::request_room::Reserved;
use super::runner::Runner;
use crate::contract::Request;
use crate::engine::{StopReason, TaskContext, TaskInput};
use crate::error::{ErrorKind, TaskError};
use crate::queue::Claim;

impl Runner {
    /// Downloads and reads the task's request. The second value is the room that it takes: keep it as long.
    pub(super) async fn request(
        &self,
        claim: &Arc<Claim>,
    ) -> Result<(Request, Reserved<'_>), TaskError> {
        let mut room = self.requests.reserve().await;
        let key = self.protocol.request_key(claim)?;
        let body = self.note_store(self.artifacts.read(&key).await)?;
        let body = body.ok_or_else(|| {
            TaskError::input(format!(
                "the task's request is missing: there is no object {key}"
            ))
        })?;
        room.shrink_to(body.len());
        let (protocol, claim) = (Arc::clone(&self.protocol), Arc::clone(claim));
        // The body may have 64 MiB.
        let request = aside(move || protocol.read_request(&claim, &body)).await?;
        Ok((request, room))
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
        let folder = self.folder();
        let folder = folder.inspect_err(|_| self.status.disk_answered(false))?;
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
            let downloaded = self.artifacts.download(uri, &file).await;
            self.note_disk(self.note_store(downloaded))?;
            input.files.insert(input_name.clone(), file);
        }
        Ok((input, folder))
    }

    /// A new folder for a task's files.
    fn folder(&self) -> Result<TempDir, TaskError> {
        let scratch = &self.settings.scratch;
        let new = || tempfile::Builder::new().prefix("task-").tempdir_in(scratch);
        let folder = new().or_else(|err| match err.kind() {
            // A cleaner of temporary files has removed the worker's folder.
            io::ErrorKind::NotFound => fs::create_dir_all(scratch).and_then(|()| new()),
            _ => Err(err),
        });
        folder.map_err(|err| TaskError::disk("there is no room for files").caused_by(err))
    }

    /// Whether the disk takes a small file, whatever it did with a task's. Blocks for that time.
    pub(super) fn disk_takes_a_file(&self) -> bool {
        let probe = self.folder().map(|folder| {
            let file = folder.path().join("probe");
            fs::write(file, [0; PROBE_BYTES]).is_ok()
        });
        probe.unwrap_or(false)
    }

    /// Stores a task's result, and tries again until the store takes it: the result is not computed twice.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the task went to another worker meanwhile. `Engine` if the store refuses the result
    /// although it answers, at once or for as long as the limit of deferrals. A store that does not answer is
    /// waited for without a limit: dropping the future ends the wait.
    pub(super) async fn store_result(
        &self,
        key: &object_store::path::Path,
        result: Vec<u8>,
        context: &TaskContext,
    ) -> Result<(), TaskError> {
        let result = Bytes::from(result);
        let mut backoff = Backoff::new();
        let mut refused_since: Option<Instant> = None;
        let limit = self.settings.deferral_limit;
        loop {
            let stored = self.artifacts.write(key, result.clone()).await;
            let err = match self.note_store(stored) {
                Err(err) if err.kind() == ErrorKind::Unavailable => err,
                ended => return ended,
            };
            // A result that is late is stored all the same: the orchestrator has not given up the task, or it
            // takes no end of it.
            if let Some(StopReason::LeaseLost | StopReason::Shutdown) = context.told_to_stop() {
                return Err(err);
            }
            tracing::warn!(error = err.chain(), "output_not_uploaded");
            refused_since = match self.note_store(self.artifacts.ping().await) {
                Ok(()) => refused_since.or(Some(Instant::now())),
                Err(_) => None,
            };
            if refused_since.is_some_and(|since| since.elapsed() >= limit) {
                let message = "the store does not take the result of the task";
                return Err(TaskError::engine(message).caused_by(err));
            }
            backoff.wait().await;
        }
    }

    /// Records whether the disk took a file, and passes the answer on. Another error says nothing about it.
    fn note_disk<T>(&self, answer: Result<T, TaskError>) -> Result<T, TaskError> {
        match &answer {
            Ok(_) => self.status.disk_answered(true),
            Err(err) if err.kind() == ErrorKind::Disk => self.status.disk_answered(false),
            Err(_) => {}
        }
        answer
    }

    /// Records whether the store answered, and passes the answer on. An error about the task alone, such
    /// as a missing object, is an answer.
    pub(super) fn note_store<T>(&self, answer: Result<T, TaskError>) -> Result<T, TaskError> {
        let is_unavailable = matches!(&answer, Err(err) if err.kind() == ErrorKind::Unavailable);
        self.status.store_answered(!is_unavailable);
        answer
    }
}

/// Size of the file that shows whether the disk takes files.
const PROBE_BYTES: usize = 64 << 10;

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
