//! Notices an engine that hangs, and decides which task is at fault.
//!
//! The heartbeat renews the lease whatever the engine does, so without this watch a hung engine would hold its
//! tasks for ever.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::contexts::HeldTask;
use super::runner::Runner;
use crate::engine::Place;

/// Longest pause between two looks at the engine.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Most pauses between two looks of a process that runs.
const MAX_PAUSES: u32 = 10;

/// What the watchdog has seen, and its limits.
#[derive(Debug)]
struct Watch {
    /// Longest time without progress of any task; `None` switches this check off.
    patience: Option<Duration>,
    /// Longest time that the engine may keep a task whose deadline is over, without progress of any task.
    overtime: Duration,
    /// The engine's tasks at the last look.
    seen: Vec<Mark>,
    /// When a task was last taken, answered or made progress.
    moved_at: Instant,
}

/// What changes when a task makes progress: receipt, when the engine took the task, and how much is done.
type Mark = (String, Instant, u64);

/// An engine hangs.
#[derive(Debug, Eq, PartialEq)]
enum Hang {
    /// The engine kept these tasks although their deadlines are over, and no task made progress since.
    Overtime(Vec<String>),
    /// No task made progress. All are named, and if there is only one, it is at fault.
    Standstill(Vec<String>),
}

impl Runner {
    /// Waits until the engine hangs; marks the tasks that it holds as at fault or as suspect.
    pub(super) async fn watch_for_hang(&self) {
        let (patience, overtime) = (self.settings.watchdog, self.settings.overtime);
        let mut watch = Watch::new(patience, overtime, Instant::now());
        let shortest = overtime.min(patience.unwrap_or(overtime));
        let pause = (shortest / 10).min(LONGEST_PAUSE);
        let mut looked_at = Instant::now();
        loop {
            sleep(pause).await;
            let (now, held) = (Instant::now(), self.contexts.held());
            // The process was stopped, and the engine with it.
            if now - looked_at > pause * MAX_PAUSES {
                watch.moved_at = now;
            }
            looked_at = now;
            let hang = watch.look(now, &held, self.engine.is_loading_model());
            self.metrics.stood_still(now - watch.moved_at);
            if let Some(hang) = hang {
                tracing::error!(?hang, "engine_hung");
                self.blame(&hang, &held);
                return;
            }
        }
    }

    fn blame(&self, hang: &Hang, held: &[HeldTask]) {
        let (receipts, sentence) = match hang {
            Hang::Overtime(receipts) => {
                let sentence = "the engine did not stop when the task's time was over";
                (receipts, sentence.to_owned())
            }
            Hang::Standstill(receipts) => {
                let time = self.settings.watchdog.unwrap_or_default().as_secs_f64();
                let sentence = format!("the engine made no progress on the task for {time} s");
                (receipts, sentence)
            }
        };
        for task in held.iter().filter(|it| receipts.contains(&it.receipt)) {
            match hang {
                // Any of them may be what the engine hangs on: each will run alone.
                Hang::Standstill(receipts) if receipts.len() > 1 => {
                    task.context.set_place(Place::Suspect);
                }
                _ => task.context.set_place(Place::AtFault(sentence.clone())),
            }
        }
    }
}

impl Watch {
    fn new(patience: Option<Duration>, overtime: Duration, now: Instant) -> Self {
        Self {
            patience,
            overtime,
            seen: Vec::new(),
            moved_at: now,
        }
    }

    /// Looks at the tasks that the engine holds. While the engine loads a model for a task, it need not make
    /// progress. An engine that works on other tasks need not answer a task that is late: it may not have begun
    /// the task, and answers when the task's turn comes.
    fn look(&mut self, now: Instant, held: &[HeldTask], is_loading: bool) -> Option<Hang> {
        let mark = |task: &HeldTask| (task.receipt.clone(), task.since, task.context.done_bits());
        let marks: Vec<Mark> = held.iter().map(mark).collect();
        if marks.is_empty() || is_loading || marks != self.seen {
            self.moved_at = now;
        }
        self.seen = marks;
        let receipts = |tasks: &mut dyn Iterator<Item = &HeldTask>| -> Vec<String> {
            tasks.map(|task| task.receipt.clone()).collect()
        };
        let is_over = |task: &&HeldTask| {
            // A task whose deadline was over when the engine took it gets the same time to be answered.
            let deadline = task.context.deadline().map(|it| it.max(task.since));
            deadline.is_some_and(|it| now.saturating_duration_since(it) >= self.overtime)
        };
        let stood_still = now.saturating_duration_since(self.moved_at);
        let overtime = receipts(&mut held.iter().filter(is_over));
        if stood_still >= self.overtime && !overtime.is_empty() {
            return Some(Hang::Overtime(overtime));
        }
        let patience = self.patience?;
        (stood_still >= patience).then(|| Hang::Standstill(receipts(&mut held.iter())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TaskContext;

    const PATIENCE: Duration = Duration::from_secs(600);
    const OVERTIME: Duration = Duration::from_secs(30);

    fn held(receipt: &str, since: Instant, deadline: Option<Instant>) -> HeldTask {
        HeldTask {
            receipt: receipt.to_owned(),
            since,
            context: TaskContext::with_deadline(deadline),
        }
    }

    /// What a look finds `s` seconds after `begun`.
    fn look(watch: &mut Watch, begun: Instant, s: u64, tasks: &[HeldTask]) -> Option<Hang> {
        watch.look(begun + Duration::from_secs(s), tasks, false)
    }

    #[test]
    fn progress_of_any_task_shows_that_the_engine_lives() {
        let begun = Instant::now();
        let mut watch = Watch::new(Some(PATIENCE), OVERTIME, begun);
        let tasks = [held("a", begun, None), held("b", begun, None)];
        assert_eq!(look(&mut watch, begun, 0, &tasks), None);
        // A millionth is progress: a recording may be long, and a batch of its chunks short.
        tasks[1].context.progress(1e-6);
        assert_eq!(look(&mut watch, begun, 599, &tasks), None);
        assert_eq!(look(&mut watch, begun, 1198, &tasks), None);
        let both = vec!["a".to_owned(), "b".to_owned()];
        let hang = look(&mut watch, begun, 1199, &tasks);
        assert_eq!(hang, Some(Hang::Standstill(both)));
    }

    #[test]
    fn an_engine_without_tasks_or_with_a_model_to_load_does_not_hang() {
        let begun = Instant::now();
        let mut watch = Watch::new(Some(PATIENCE), OVERTIME, begun);
        assert_eq!(look(&mut watch, begun, 5000, &[]), None);
        let tasks = [held("a", begun, None)];
        let later = begun + Duration::from_secs(9000);
        assert_eq!(watch.look(later, &tasks, true), None);
        assert_eq!(look(&mut watch, begun, 9599, &tasks), None);
        assert!(look(&mut watch, begun, 9600, &tasks).is_some());
    }

    #[test]
    fn a_task_that_outstays_its_deadline_is_at_fault_and_the_others_are_not() {
        let begun = Instant::now();
        let mut watch = Watch::new(None, OVERTIME, begun);
        let deadline = begun + Duration::from_secs(100);
        let tasks = [held("a", begun, None), held("b", begun, Some(deadline))];
        assert_eq!(look(&mut watch, begun, 0, &tasks), None);
        assert_eq!(look(&mut watch, begun, 129, &tasks), None);
        let late = Some(Hang::Overtime(vec!["b".to_owned()]));
        assert_eq!(look(&mut watch, begun, 130, &tasks), late);
    }

    #[test]
    fn a_late_task_ends_no_engine_that_works_on_others() {
        let begun = Instant::now();
        let mut watch = Watch::new(None, OVERTIME, begun);
        let tasks = [held("a", begun, None), held("b", begun, Some(begun))];
        for s in 0..100 {
            tasks[0].context.progress(s as f64 / 1000.0);
            assert_eq!(look(&mut watch, begun, s, &tasks), None);
        }
        assert_eq!(look(&mut watch, begun, 128, &tasks), None);
        assert!(look(&mut watch, begun, 129, &tasks).is_some());
    }

    #[test]
    fn a_task_that_was_late_when_it_was_taken_gets_time_to_be_answered() {
        let begun = Instant::now();
        let mut watch = Watch::new(None, OVERTIME, begun);
        let tasks = [held("a", begun + Duration::from_secs(500), Some(begun))];
        assert_eq!(look(&mut watch, begun, 500, &tasks), None);
        assert_eq!(look(&mut watch, begun, 529, &tasks), None);
        assert!(look(&mut watch, begun, 530, &tasks).is_some());
    }
}
