//! Counts tasks: how often each was queued, how many wait, and how many are taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use redis::Commands as _;

use super::Producer;
use crate::contract::Contract;

/// How often each task was queued, by its id. Copies share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queued(Arc<Mutex<HashMap<String, usize>>>);

impl Queued {
    /// How often the producers have queued this task; `None` if none of them has.
    pub(crate) fn of(&self, task_id: &str) -> Option<usize> {
        let counts = self.0.lock().expect("no holder panics");
        counts.get(task_id).copied()
    }

    pub(super) fn add(&self, task_id: &str) {
        let mut counts = self.0.lock().expect("no holder panics");
        *counts.entry(task_id.to_owned()).or_default() += 1;
    }
}

impl Producer {
    /// The number of tasks that no worker has claimed, and the number of claimed tasks that have not ended.
    pub fn waiting_and_taken(&mut self) -> (usize, usize) {
        let outcome = match self.contract {
            Contract::M22 | Contract::M22Typed => self.of_lists(),
            Contract::Streams => self.of_stream(),
        };
        outcome.expect("the server answers")
    }

    fn of_lists(&mut self) -> redis::RedisResult<(usize, usize)> {
        let waiting = self.redis.llen(self.queue_key())?;
        let pattern = format!("dalston:processing:{}:*", self.engine_id);
        let lists: Vec<String> = self.redis.keys(pattern)?;
        let mut taken = 0;
        for list in lists {
            taken += self.redis.llen::<_, usize>(list)?;
        }
        Ok((waiting, taken))
    }

    fn of_stream(&mut self) -> redis::RedisResult<(usize, usize)> {
        let groups = self.redis.xinfo_groups(self.queue_key());
        let groups: redis::streams::StreamInfoGroupsReply = groups?;
        let group = groups.groups.first();
        let waiting = group.and_then(|it| it.lag).unwrap_or(0);
        Ok((waiting, group.map_or(0, |it| it.pending)))
    }
}
