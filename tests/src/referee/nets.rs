//! Dalston's scanner and reconciler as predicates on what they read.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::handlers::{Database, Status};
use super::{Charge, Conviction};

/// The times of the nets.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How often the scanner looks.
    pub scan_every: Duration,
    /// How long a pending task is idle before the scanner judges it.
    pub stale_idle: Duration,
    /// The age of a heartbeat in the registry at which its engine is dead.
    pub heartbeat_timeout: Duration,
    /// How often the reconciler looks.
    pub reconcile_every: Duration,
    /// The age of a running task without a pending entry at which it is an orphan.
    pub orphan_age: Duration,
}

impl Rules {
    /// Dalston's own times, which go with a lease of 15 s.
    pub const DALSTON: Self = Self {
        scan_every: Duration::from_secs(60),
        stale_idle: Duration::from_secs(600),
        heartbeat_timeout: Duration::from_secs(60),
        reconcile_every: Duration::from_secs(300),
        orphan_age: Duration::from_secs(600),
    };

    /// Times that a test has time for, each at least as strict as Dalston's for the same number of leases: idle
    /// for 6 leases instead of 40, and so on.
    pub fn scaled_to(lease: Duration) -> Self {
        Self {
            scan_every: lease / 2,
            stale_idle: lease * 6,
            heartbeat_timeout: lease * 4,
            reconcile_every: lease,
            orphan_age: lease * 6,
        }
    }

    /// These rules for a test that keeps the workers from Redis for this long: no worker can renew meanwhile.
    #[must_use]
    pub fn after_outage(self, outage: Duration) -> Self {
        Self {
            stale_idle: self.stale_idle + outage,
            heartbeat_timeout: self.heartbeat_timeout + outage,
            ..self
        }
    }
}

/// An engine in the registry.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub status: String,
    pub last_heartbeat: Option<DateTime<Utc>>,
}

/// An entry of the stream's pending list.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub entry: String,
    pub task_id: String,
    pub consumer: String,
    pub idle: Duration,
    pub timeout_at: Option<DateTime<Utc>>,
    /// The consumer's record; `None` if there is none.
    pub record: Option<Record>,
    /// Whether the user has cancelled the job.
    pub is_cancelled: bool,
}

/// Fails the tasks that the scanner fails.
pub(super) fn scan(
    database: &mut Database,
    pending: &[Pending],
    now: DateTime<Utc>,
    rules: &Rules,
) -> Vec<Conviction> {
    let mut convictions = Vec::new();
    for entry in pending.iter().filter(|it| it.idle >= rules.stale_idle) {
        let charge = if !is_alive(entry.record.as_ref(), now, rules) {
            Charge::EngineDead
        } else if entry.timeout_at.is_some_and(|end| now > end) {
            Charge::TimedOut
        } else {
            continue;
        };
        let Some(row) = database.rows.get_mut(&entry.task_id) else {
            continue;
        };
        if row.status != Status::Running {
            continue;
        }
        row.status = Status::Failed;
        convictions.push(Conviction {
            task_id: entry.task_id.clone(),
            charge,
            evidence: format!(
                "entry {} is idle for {} ms under {}, whose record is {:?}",
                entry.entry,
                entry.idle.as_millis(),
                entry.consumer,
                entry.record,
            ),
        });
    }
    convictions
}

/// The tasks that the reconciler takes for orphans: running, old enough, and in no pending list.
pub(super) fn orphans(
    database: &Database,
    pending: &[Pending],
    now: Instant,
    rules: &Rules,
) -> Vec<String> {
    let pending: HashSet<_> = pending.iter().map(|entry| &entry.task_id).collect();
    let is_old = |started: &Instant| now.saturating_duration_since(*started) > rules.orphan_age;
    let rows = database.rows.iter().filter(|(task_id, row)| {
        row.status == Status::Running
            && row.started_at.as_ref().is_some_and(is_old)
            && !pending.contains(task_id)
    });
    rows.map(|(task_id, _)| task_id.clone()).collect()
}

/// Ends an orphan as the reconciler does: completed if the store has its output, else failed.
pub(super) fn end_orphan(
    database: &mut Database,
    task_id: &str,
    has_output: bool,
) -> Option<Conviction> {
    let row = database.rows.get_mut(task_id)?;
    if has_output {
        row.status = Status::Completed;
        return None;
    }
    row.status = Status::Failed;
    Some(Conviction {
        task_id: task_id.to_owned(),
        charge: Charge::Orphaned,
        evidence: "it runs, is in no pending list, and has no output".to_owned(),
    })
}

/// The entries that the reconciler acknowledges: those of tasks that have ended.
pub(super) fn to_acknowledge(
    database: &Database,
    pending: &[Pending],
    rules: &Rules,
) -> Vec<String> {
    let has_ended = |entry: &&Pending| {
        let status = database.rows.get(&entry.task_id).map(|row| row.status);
        entry.idle > rules.orphan_age
            && !matches!(status, None | Some(Status::Ready | Status::Running))
    };
    let entries = pending.iter().filter(has_ended);
    entries.map(|entry| entry.entry.clone()).collect()
}

/// Whether the registry says that an engine is alive.
pub(super) fn is_alive(record: Option<&Record>, now: DateTime<Utc>, rules: &Rules) -> bool {
    record.is_some_and(|record| {
        let age = record.last_heartbeat.map(|last| (now - last).to_std());
        // A heartbeat from the future is a clock that is ahead, and not a dead engine.
        let is_fresh = age.is_some_and(|age| age.unwrap_or_default() < rules.heartbeat_timeout);
        record.status != "offline" && is_fresh
    })
}
