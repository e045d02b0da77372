//! Names in Redis that both kinds of queue share.

/// The channel of the events. Redis keeps no event of a channel: only current subscribers get it.
pub(super) const EVENTS: &str = "dalston:events";

/// Prefix of the keys of tasks' hashes.
pub(super) const TASK: &str = "dalston:task:";

/// How long a count of deliveries is kept after the last start, in seconds: as long as Dalston keeps a task.
pub(super) const DELIVERIES_KEPT_S: u64 = 24 * 60 * 60;

/// Prefix of the keys of the delivery counts of an engine's tasks.
pub(super) fn deliveries_prefix(engine_id: &str) -> String {
    format!("dalston:deliveries:{engine_id}:")
}
