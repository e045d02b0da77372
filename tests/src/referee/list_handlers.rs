//! What Dalston's handlers of the M22 era (the same at `e13c9886` and `4543d4f1`) do with the events of engines.
//!
//! They set the status of the task without a look at the one before, so an event that is told twice, or out of
//! order, is not harmless. There is no scanner and no reconciler: nobody corrects the result.

use std::collections::HashMap;

use super::handlers::{Effect, MAX_RETRIES, Status};
use crate::listener::{Event, EventKind};

/// A transcription task, and the one task of its job that waits for it.
#[derive(Debug)]
struct Row {
    status: Status,
    retries: u32,
    /// The status of the merge task; `None` while it waits for the transcription.
    merge: Option<Status>,
}

/// The tasks of one engine in Dalston's database.
#[derive(Debug, Default)]
pub(super) struct ListDatabase {
    rows: HashMap<String, Row>,
}

impl ListDatabase {
    /// Handles an event of an engine.
    pub(super) fn hear(&mut self, event: &Event) -> Vec<Effect> {
        let row = self.row(&event.task_id);
        match event.kind {
            EventKind::Started => row.start(),
            EventKind::Completed => row.complete(),
            EventKind::Failed => row.fail(),
        }
    }

    /// The status of a task.
    pub(super) fn status(&self, task_id: &str) -> Option<Status> {
        self.rows.get(task_id).map(|row| row.status)
    }

    /// The merge task of the job ends, and the job with it.
    #[cfg(test)]
    pub(super) fn end_merge(&mut self, task_id: &str) -> Vec<Effect> {
        let row = self.row(task_id);
        row.merge = Some(Status::Completed);
        row.end_job()
    }

    fn row(&mut self, task_id: &str) -> &mut Row {
        self.rows.entry(task_id.to_owned()).or_insert(Row {
            status: Status::Ready,
            retries: 0,
            merge: None,
        })
    }
}

impl Row {
    /// Sets the status without a condition: after the end the task runs for ever.
    fn start(&mut self) -> Vec<Effect> {
        let had_ended = self.status == Status::Completed;
        self.status = Status::Running;
        Vec::from_iter(had_ended.then_some(Effect::RunsForEver))
    }

    fn complete(&mut self) -> Vec<Effect> {
        self.status = Status::Completed;
        // The one guard: a task that waits is set to ready before it is queued, and only a waiting task is.
        if self.merge.is_none() {
            self.merge = Some(Status::Ready);
            return vec![Effect::QueuesDependents];
        }
        self.end_job()
    }

    /// Counts and queues every failure, even one of a task that is queued or has completed.
    fn fail(&mut self) -> Vec<Effect> {
        if self.retries < MAX_RETRIES {
            self.retries += 1;
            self.status = Status::Ready;
            return vec![Effect::QueuesAgain];
        }
        self.status = Status::Failed;
        vec![Effect::ReportsJobFailed]
    }

    /// Reports the job as completed if all of its tasks have ended, even if that was reported before.
    fn end_job(&self) -> Vec<Effect> {
        let is_over = self.status == Status::Completed && self.merge == Some(Status::Completed);
        Vec::from_iter(is_over.then_some(Effect::ReportsJobCompleted))
    }
}
