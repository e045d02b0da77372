//! Reads what Dalston's nets read: the pending list of a stream, its messages, and the registry.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use redis::streams::{StreamPendingCountReply, StreamRangeReply};
use redis::{Client, Commands as _, Connection, RedisResult};

use super::nets::{Pending, Record};
use crate::producer::Producer;

/// Dalston's consumer group.
const GROUP: &str = "engines";

/// Most pending entries that Dalston's nets read.
const MAX_PENDING: usize = 1000;

/// How long an answer of the server may take: tests stop servers.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stream and the registry of one engine, on a server that may be away.
pub(super) struct Source {
    client: Client,
    connection: Option<Connection>,
    stream: String,
}

impl Source {
    pub(super) fn new(client: Client, producer: &Producer) -> Self {
        Self {
            client,
            connection: None,
            stream: producer.queue_key(),
        }
    }

    /// The pending list, each entry with its consumer's record.
    ///
    /// # Errors
    ///
    /// The server does not answer; the next call connects again.
    pub(super) fn pending(&mut self) -> RedisResult<Vec<Pending>> {
        let read = self.read();
        if read.is_err() {
            self.connection = None;
        }
        read
    }

    /// Acknowledges entries. A server that does not answer is asked again with the next entries.
    pub(super) fn acknowledge(&mut self, entries: &[String]) {
        if let Some(connection) = &mut self.connection
            && !entries.is_empty()
        {
            let _: RedisResult<usize> = connection.xack(&self.stream, GROUP, entries);
        }
    }

    fn read(&mut self) -> RedisResult<Vec<Pending>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let new = self.client.get_connection_with_timeout(PATIENCE)?;
                new.set_read_timeout(Some(PATIENCE))?;
                none.insert(new)
            }
        };
        let list = connection.xpending_count(&self.stream, GROUP, "-", "+", MAX_PENDING);
        let list: StreamPendingCountReply = match list {
            Err(err) if err.code() == Some("NOGROUP") => return Ok(Vec::new()),
            list => list?,
        };
        let mut records: HashMap<String, Option<Record>> = HashMap::new();
        let mut pending = Vec::new();
        for entry in list.ids {
            let messages: StreamRangeReply =
                connection.xrange(&self.stream, &entry.id, &entry.id)?;
            let Some(message) = messages.ids.first() else {
                continue;
            };
            let field = |name: &str| -> String { message.get(name).unwrap_or_default() };
            let record = match records.get(&entry.consumer) {
                Some(record) => record.clone(),
                None => {
                    let record = read_record(connection, &entry.consumer)?;
                    records.insert(entry.consumer.clone(), record.clone());
                    record
                }
            };
            let cancelled = format!("dalston:job:cancelled:{}", field("job_id"));
            pending.push(Pending {
                task_id: field("task_id"),
                timeout_at: time(&field("timeout_at")),
                is_cancelled: connection.exists(cancelled)?,
                entry: entry.id,
                consumer: entry.consumer,
                idle: Duration::from_millis(entry.last_delivered_ms as u64),
                record,
            });
        }
        Ok(pending)
    }
}

fn read_record(connection: &mut Connection, consumer: &str) -> RedisResult<Option<Record>> {
    let key = format!("dalston:engine:instance:{consumer}");
    let fields: HashMap<String, String> = connection.hgetall(key)?;
    if fields.is_empty() {
        return Ok(None);
    }
    let field = |name: &str| fields.get(name).map(String::as_str);
    Ok(Some(Record {
        // A record without a status is one that a late heartbeat has made again.
        status: field("status").unwrap_or("offline").to_owned(),
        last_heartbeat: field("last_heartbeat").and_then(time),
    }))
}

/// A time of a message; `None` if it is none, which Dalston takes for no limit.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.to_utc())
}
