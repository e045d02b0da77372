//! Names in Redis that both kinds of queue share.

/// The channel of the events. Redis keeps no event of a channel: only current subscribers get it.
pub(super) const EVENTS: &str = "dalston:events";

/// Prefix of the keys of tasks' hashes.
pub(super) const TASK: &str = "dalston:task:";

/// How long the record of a task's attempts is kept after its last change, and the mark of its end, in
/// seconds: as long as Dalston keeps a task.
pub(super) const KEPT_S: u64 = 24 * 60 * 60;

/// Prefix of the keys of the records of attempts of an engine's tasks.
pub(super) fn attempts_prefix(engine_id: &str) -> String {
    format!("dalston:attempts:{engine_id}:")
}

/// Prefix of the keys that mark which claim ended a task of an engine.
pub(super) fn ended_prefix(engine_id: &str) -> String {
    format!("dalston:ended:{engine_id}:")
}
