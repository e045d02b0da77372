//! The referee convicts what Dalston was seen to fail, and nothing that Dalston was seen to leave alone.

use chrono::TimeDelta;
use serde_json::json;

use super::handlers::Database;
use super::list_handlers::ListDatabase;
use super::nets::{Pending, Record};
use super::*;
use crate::listener::Event;

const TASK: &str = "b1ca16e6-bb4d-4da1-922a-ea7f946c0dcf";

fn event(kind: EventKind, error: &str) -> Event {
    Event {
        kind,
        task_id: TASK.to_owned(),
        body: json!({"task_id": TASK, "job_id": "job", "error": error}),
        at: Instant::now(),
    }
}

fn started() -> Event {
    event(EventKind::Started, "")
}

fn completed() -> Event {
    event(EventKind::Completed, "")
}

fn failed() -> Event {
    event(EventKind::Failed, "CUDA out of memory (simulated)")
}

/// A database whose task has these events behind it.
fn after(events: &[Event]) -> Database {
    let mut database = Database::default();
    for event in events {
        database.hear(event);
    }
    database
}

/// A record with a heartbeat of this age.
fn record(status: &str, age_s: i64) -> Option<Record> {
    Some(Record {
        status: status.to_owned(),
        last_heartbeat: Some(Utc::now() - TimeDelta::seconds(age_s)),
    })
}

/// An entry of the task whose time is over after this many seconds.
fn pending(idle_ms: u64, record: Option<Record>, left_s: i64) -> Pending {
    Pending {
        entry: "1-0".to_owned(),
        task_id: TASK.to_owned(),
        consumer: "engine-worker".to_owned(),
        idle: Duration::from_millis(idle_ms),
        timeout_at: Some(Utc::now() + TimeDelta::seconds(left_s)),
        record,
        is_cancelled: false,
    }
}

/// Checks what Dalston's scanner makes of a running task with this entry.
#[track_caller]
fn check_scan(entry: Pending, expected: Option<Charge>) {
    let mut database = after(&[started()]);
    let convictions = nets::scan(&mut database, &[entry], Utc::now(), &Rules::DALSTON);
    let charges: Vec<_> = convictions.iter().map(|it| it.charge).collect();
    assert_eq!(charges, Vec::from_iter(expected), "{convictions:?}");
    let status = expected.map_or(Status::Running, |_| Status::Failed);
    assert_eq!(database.rows[TASK].status, status);
}

#[test]
fn a_task_put_back_for_a_day_by_a_worker_that_has_left_is_failed() {
    check_scan(pending(86_400_827, None, 3600), Some(Charge::EngineDead));
}

#[test]
fn a_task_put_back_for_little_more_than_a_lease_is_left_alone() {
    check_scan(pending(16_000, None, 3600), None);
}

#[test]
fn idleness_is_judged_from_ten_minutes_on() {
    check_scan(pending(599_999, None, 3600), None);
    check_scan(pending(600_000, None, 3600), Some(Charge::EngineDead));
}

#[test]
fn a_heartbeat_is_stale_from_a_minute_on() {
    check_scan(pending(600_000, record("idle", 55), 3600), None);
    check_scan(
        pending(600_000, record("idle", 60), 3600),
        Some(Charge::EngineDead),
    );
}

#[test]
fn an_engine_that_says_offline_is_dead() {
    check_scan(
        pending(600_000, record("offline", 0), 3600),
        Some(Charge::EngineDead),
    );
    check_scan(pending(600_000, record("draining", 0), 3600), None);
}

#[test]
fn an_idle_task_of_a_living_engine_is_failed_when_its_time_is_over() {
    check_scan(
        pending(600_000, record("processing", 1), -1),
        Some(Charge::TimedOut),
    );
    check_scan(pending(600_000, record("processing", 1), 5), None);
}

#[test]
fn a_hung_engine_whose_heartbeat_goes_on_is_not_seen() {
    check_scan(pending(300, record("processing", 1), -3600), None);
}

#[test]
fn a_task_that_has_not_begun_is_not_failed() {
    let entry = [pending(86_400_827, None, -1)];
    for mut database in [Database::default(), after(&[started(), failed()])] {
        let convictions = nets::scan(&mut database, &entry, Utc::now(), &Rules::DALSTON);
        assert!(convictions.is_empty(), "{convictions:?}");
    }
}

#[test]
fn a_failure_is_queued_again_twice_and_then_fails_the_job() {
    let mut database = Database::default();
    for _ in 0..2 {
        database.hear(&started());
        assert_eq!(database.hear(&failed()), [Effect::QueuesAgain]);
        assert_eq!(database.rows[TASK].status, Status::Ready);
    }
    database.hear(&started());
    assert_eq!(database.hear(&failed()), [Effect::ReportsJobFailed]);
    assert_eq!(database.rows[TASK].status, Status::Failed);
}

#[test]
fn a_failure_of_a_task_that_has_not_begun_is_queued_again_once() {
    let mut database = Database::default();
    assert_eq!(database.hear(&failed()), [Effect::QueuesAgain]);
    assert_eq!(database.hear(&failed()), []);
}

#[test]
fn a_failure_that_is_told_twice_is_queued_again_once() {
    let mut database = after(&[started(), failed()]);
    assert_eq!(database.hear(&failed()), []);
}

#[test]
fn a_failure_after_the_scanner_fails_the_job_without_a_retry() {
    let mut database = after(&[started()]);
    let entry = [pending(86_400_827, None, 3600)];
    nets::scan(&mut database, &entry, Utc::now(), &Rules::DALSTON);
    assert_eq!(database.hear(&failed()), [Effect::ReportsJobFailed]);
}

#[test]
fn a_missing_library_of_cuda_is_not_tried_again() {
    let library = "Library libcublas.so.12 is not found or cannot be loaded";
    let mut database = after(&[started()]);
    let effects = database.hear(&event(EventKind::Failed, library));
    assert_eq!(effects, [Effect::ReportsJobFailed]);
    let model = "Model x is not found or cannot be loaded";
    let mut database = after(&[started()]);
    let effects = database.hear(&event(EventKind::Failed, model));
    assert_eq!(effects, [Effect::QueuesAgain]);
}

#[test]
fn a_completion_that_is_told_twice_changes_nothing_more() {
    let mut database = after(&[started()]);
    assert_eq!(database.hear(&completed()), [Effect::QueuesDependents]);
    for event in [completed(), failed(), started()] {
        assert_eq!(database.hear(&event), []);
        assert_eq!(database.rows[TASK].status, Status::Completed);
    }
}

/// What becomes of a task that began this long ago and is in no pending list.
fn reconcile(events: &[Event], age: Duration, has_output: bool) -> (Status, usize) {
    let mut database = after(events);
    let now = Instant::now() + age;
    let orphans = nets::orphans(&database, &[], now, &Rules::DALSTON);
    let convictions: Vec<_> = orphans
        .iter()
        .filter_map(|task_id| nets::end_orphan(&mut database, task_id, has_output))
        .collect();
    assert!(convictions.iter().all(|it| it.charge == Charge::Orphaned));
    (database.rows[TASK].status, convictions.len())
}

#[test]
fn a_running_task_that_no_worker_has_ends_by_its_output() {
    let old = Duration::from_secs(601);
    assert_eq!(reconcile(&[started()], old, false), (Status::Failed, 1));
    assert_eq!(reconcile(&[started()], old, true), (Status::Completed, 0));
    let young = Duration::from_secs(590);
    assert_eq!(reconcile(&[started()], young, false), (Status::Running, 0));
    let again = [started(), failed()];
    assert_eq!(reconcile(&again, old, false), (Status::Ready, 0));
}

#[test]
fn a_running_task_that_a_worker_has_is_no_orphan() {
    let database = after(&[started()]);
    let now = Instant::now() + Duration::from_secs(3600);
    let entry = [pending(0, None, 3600)];
    assert!(nets::orphans(&database, &entry, now, &Rules::DALSTON).is_empty());
}

#[test]
fn entries_of_tasks_that_have_ended_are_acknowledged() {
    let acknowledged = |database: &Database, idle_ms| {
        let entry = [pending(idle_ms, None, 3600)];
        nets::to_acknowledge(database, &entry, &Rules::DALSTON)
    };
    let ended = after(&[started(), completed()]);
    assert_eq!(acknowledged(&ended, 600_001), ["1-0"]);
    assert!(acknowledged(&ended, 600_000).is_empty());
    assert!(acknowledged(&after(&[started()]), 600_001).is_empty());
    assert!(acknowledged(&Database::default(), 600_001).is_empty());
}

#[test]
fn a_cancelled_task_that_has_begun_waits_for_its_end() {
    let mut database = after(&[started()]);
    database.cancel(TASK);
    assert_eq!(database.rows[TASK].status, Status::Running);
    let mut database = Database::default();
    database.cancel(TASK);
    assert_eq!(database.rows[TASK].status, Status::Cancelled);
}

#[test]
fn the_scaled_times_are_stricter_than_dalstons_for_the_same_number_of_leases() {
    let lease = Duration::from_secs(15);
    let (scaled, dalston) = (Rules::scaled_to(lease), Rules::DALSTON);
    assert!(scaled.scan_every <= dalston.scan_every);
    assert!(scaled.stale_idle <= dalston.stale_idle);
    assert!(scaled.heartbeat_timeout <= dalston.heartbeat_timeout);
    assert!(scaled.reconcile_every <= dalston.reconcile_every);
    assert!(scaled.orphan_age <= dalston.orphan_age);
}

/// The effects of the last of these events on an M22 orchestrator.
fn last_effect(events: &[Event]) -> Vec<Effect> {
    let mut database = ListDatabase::default();
    let effects = events.iter().map(|event| database.hear(event));
    effects.last().unwrap_or_default()
}

#[test]
fn a_list_task_that_completes_twice_queues_its_dependents_once() {
    assert_eq!(
        last_effect(&[started(), completed()]),
        [Effect::QueuesDependents]
    );
    assert_eq!(last_effect(&[started(), completed(), completed()]), []);
}

#[test]
fn a_list_task_that_completes_again_after_its_job_reports_the_job_twice() {
    let mut database = ListDatabase::default();
    database.hear(&started());
    database.hear(&completed());
    assert_eq!(database.end_merge(TASK), [Effect::ReportsJobCompleted]);
    assert_eq!(database.hear(&completed()), [Effect::ReportsJobCompleted]);
}

#[test]
fn a_list_task_that_fails_twice_is_queued_twice() {
    assert_eq!(last_effect(&[started(), failed()]), [Effect::QueuesAgain]);
    let twice = [started(), failed(), failed()];
    assert_eq!(last_effect(&twice), [Effect::QueuesAgain]);
    let third = [started(), failed(), failed(), failed()];
    assert_eq!(last_effect(&third), [Effect::ReportsJobFailed]);
}

#[test]
fn a_list_task_that_starts_after_its_end_runs_for_ever() {
    let late = [started(), completed(), started()];
    assert_eq!(last_effect(&late), [Effect::RunsForEver]);
    let again = [started(), failed(), started()];
    assert_eq!(last_effect(&again), []);
}
