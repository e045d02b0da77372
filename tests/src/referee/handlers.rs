//! What Dalston's handlers (HEAD) do with the events of engines.
//!
//! The handlers are replay-safe: an event that is told twice changes nothing more.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::listener::{Event, EventKind};

/// How often Dalston queues a failed task again.
pub(super) const MAX_RETRIES: u32 = 2;

/// The status of a task in Dalston's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Queued.
    Ready,
    /// An engine has begun.
    Running,
    /// Done.
    Completed,
    /// Failed for good, and its job with it.
    Failed,
    /// The user cancelled the job before an engine began.
    Cancelled,
}

/// What a handler does besides changing the status of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The task is queued once more, under the same id.
    QueuesAgain,
    /// The tasks that wait for this one are queued.
    QueuesDependents,
    /// The job is reported as completed: its webhooks are called.
    ReportsJobCompleted,
    /// The job is reported as failed.
    ReportsJobFailed,
    /// The task runs again although it has ended, and no event will end it: the job waits for ever.
    RunsForEver,
}

/// A task in Dalston's database.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub status: Status,
    pub job_id: String,
    /// When it last went from ready to running.
    pub started_at: Option<Instant>,
    retries: u32,
    /// The numbers of retries for which the task was queued again: each once.
    queued_again: HashSet<u32>,
}

/// The tasks of one engine in Dalston's database.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub rows: HashMap<String, Row>,
}

impl Database {
    /// Handles an event of an engine.
    pub(super) fn hear(&mut self, event: &Event) -> Vec<Effect> {
        let row = self.row(&event.task_id);
        if let Some(job_id) = event.body["job_id"].as_str() {
            row.job_id = job_id.to_owned();
        }
        match event.kind {
            EventKind::Started => row.start(event.at),
            EventKind::Completed => row.complete(),
            EventKind::Failed => row.fail(event.error()),
        }
    }

    /// The user cancels the job: a task that runs goes on to its end.
    pub(super) fn cancel(&mut self, task_id: &str) {
        let row = self.row(task_id);
        if row.status == Status::Ready {
            row.status = Status::Cancelled;
        }
    }

    /// Where the task's output is in the store.
    pub(super) fn output_key(&self, task_id: &str) -> String {
        let job_id = self.rows.get(task_id).map_or("", |row| &row.job_id);
        format!("jobs/{job_id}/tasks/{task_id}/response.json")
    }

    /// The row of a task; a task is ready when it is first seen.
    fn row(&mut self, task_id: &str) -> &mut Row {
        self.rows.entry(task_id.to_owned()).or_insert_with(|| Row {
            status: Status::Ready,
            job_id: String::new(),
            started_at: None,
            retries: 0,
            queued_again: HashSet::new(),
        })
    }
}

impl Row {
    fn start(&mut self, at: Instant) -> Vec<Effect> {
        if self.status == Status::Ready {
            self.status = Status::Running;
            self.started_at = Some(at);
        }
        Vec::new()
    }

    fn complete(&mut self) -> Vec<Effect> {
        if self.status == Status::Completed {
            return Vec::new();
        }
        self.status = Status::Completed;
        vec![Effect::QueuesDependents]
    }

    fn fail(&mut self, error: &str) -> Vec<Effect> {
        match self.status {
            Status::Running if self.retries < MAX_RETRIES && is_retried(error) => {
                self.retries += 1;
                self.status = Status::Ready;
            }
            Status::Running | Status::Failed => {
                self.status = Status::Failed;
                return vec![Effect::ReportsJobFailed];
            }
            Status::Ready => {}
            Status::Completed | Status::Cancelled => return Vec::new(),
        }
        if self.queued_again.insert(self.retries) {
            vec![Effect::QueuesAgain]
        } else {
            Vec::new()
        }
    }
}

/// Whether Dalston tries a task again after this error: a library of CUDA that is missing stays missing.
fn is_retried(error: &str) -> bool {
    let libraries = ["libcublas", "libcudnn", "libcuda", "libnvrtc"];
    let names_library = libraries.iter().any(|library| error.contains(library));
    !(error.contains("is not found or cannot be loaded") && names_library)
}
