//! The scripts with which a worker changes the queue. The server runs each whole or not at all.

use redis::Script;

/// The beginning of every script: a worker whose id another process has taken changes nothing.
const OWNED: &str = include_str!("owned.lua");

/// Reads a task's hash.
const HASH: &str = include_str!("hash.lua");

/// The record of a task's attempts.
const ATTEMPTS: &str = include_str!("attempts.lua");

/// The six scripts that move a task or keep a worker alive. The first key of each is the worker's heartbeat,
/// the first argument its nonce.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) start: Script,
    pub(super) finish: Script,
    pub(super) put_back: Script,
    pub(super) renew: Script,
    pub(super) leave: Script,
}

impl Scripts {
    pub(super) fn of_list() -> Self {
        let held = include_str!("list/held.lua");
        let forgotten = include_str!("list/forgotten.lua");
        let requeue = include_str!("list/requeue.lua");
        Self {
            claim: owned(&[HASH, ATTEMPTS, requeue, include_str!("list/claim.lua")]),
            start: owned(&[ATTEMPTS, held, include_str!("list/start.lua")]),
            finish: owned(&[ATTEMPTS, forgotten, include_str!("list/finish.lua")]),
            put_back: owned(&[ATTEMPTS, held, include_str!("list/put_back.lua")]),
            renew: owned(&[ATTEMPTS, forgotten, include_str!("list/renew.lua")]),
            leave: owned(&[requeue, include_str!("list/leave.lua")]),
        }
    }

    pub(super) fn of_stream() -> Self {
        let entry = include_str!("streams/entry.lua");
        let held = &[entry, include_str!("streams/held.lua")].concat();
        let lost = include_str!("streams/lost.lua");
        Self {
            claim: owned(&[HASH, ATTEMPTS, lost, include_str!("streams/claim.lua")]),
            start: owned(&[ATTEMPTS, held, include_str!("streams/start.lua")]),
            finish: owned(&[ATTEMPTS, entry, include_str!("streams/finish.lua")]),
            put_back: owned(&[ATTEMPTS, lost, held, include_str!("streams/put_back.lua")]),
            renew: owned(&[entry, lost, include_str!("streams/renew.lua")]),
            leave: owned(&[lost, include_str!("streams/leave.lua")]),
        }
    }
}

fn owned(parts: &[&str]) -> Script {
    // One script and not two calls: the id could change hands between them.
    Script::new(&format!("{OWNED}{}", parts.concat()))
}
