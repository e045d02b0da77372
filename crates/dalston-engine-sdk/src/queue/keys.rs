//! Names in Redis that both kinds of queue share. Those of Dalston's own are in its contract.

/// Channel of the events; nothing is kept of them.
pub(super) const EVENTS: &str = "dalston:events";

/// What the hash of a task begins with.
pub(super) const TASK: &str = "dalston:task:";

/// How long a count of deliveries is kept after the last start: as long as Dalston keeps a task.
pub(super) const DELIVERIES_KEPT_S: u64 = 24 * 60 * 60;

/// What the counts of deliveries of an engine's tasks begin with.
pub(super) fn deliveries_prefix(engine_id: &str) -> String {
    format!("dalston:deliveries:{engine_id}:")
}
