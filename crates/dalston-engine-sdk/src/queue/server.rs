//! One Redis server: pools its connections, limits the time of every call, and classifies its errors.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, PoolError};
use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, FromRedisValue, ParsingError, Pipeline, RedisError, ScriptInvocation, Value,
    from_redis_value,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::Address;
use super::claim::QueueError;
use super::connect::{CALL_TIMEOUT, Connector, Generation};

/// Shortest wait for a task, because Redis reads 0 as "without end".
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A Redis (or Valkey) server of version 6.2 or later.
pub(super) struct Server {
    connector: Connector,
    /// The connection for commands that wait for a task, and the generation that it belongs to. It is in no
    /// pool, because a connection that waits answers no other command.
    waiting: Mutex<Option<(u64, MultiplexedConnection)>>,
    /// When a call last got no answer, apart from calls that wait for a task.
    silent_at: Arc<std::sync::Mutex<Option<Instant>>>,
}

impl Server {
    /// The server at an address in one of the forms of [`Address`]. Makes no connection yet.
    pub(super) fn new(url: &str) -> Result<Self, QueueError> {
        Self::of(url, Arc::default(), Arc::default())
    }

    fn of(
        url: &str,
        generation: Generation,
        silent_at: Arc<std::sync::Mutex<Option<Instant>>>,
    ) -> Result<Self, QueueError> {
        let address = Address::parse(url).map_err(|expected| QueueError::Unsuitable {
            reason: format!("REDIS_URL is not the address of a Redis server, expected {expected}"),
        })?;
        Ok(Self {
            connector: Connector::new(address, generation),
            waiting: Mutex::new(None),
            silent_at,
        })
    }

    /// The same server with connections of its own, for calls from another runtime: a connection ends with
    /// the runtime that made it. A call of either that gets no answer counts for both, and both connect anew.
    pub(super) fn apart(&self, url: &str) -> Result<Self, QueueError> {
        Self::of(url, self.connector.shared(), Arc::clone(&self.silent_at))
    }

    /// Runs a script.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        self.limited(async {
            let mut server = self.connection().await?;
            script.invoke_async(&mut server).await.map_err(classify)
        })
        .await
    }

    /// Runs several commands, all or nothing.
    pub(super) async fn run_all(&self, commands: &Pipeline) -> Result<(), QueueError> {
        self.limited(async {
            let mut server = self.connection().await?;
            commands.exec_async(&mut server).await.map_err(classify)
        })
        .await
    }

    /// A section of the server's report on itself; `None` if this user or this server does not give it.
    pub(super) async fn info(&self, section: &str) -> Result<Option<String>, QueueError> {
        self.limited(async {
            let mut server = self.connection().await?;
            let mut info = redis::cmd("INFO");
            match info.arg(section).query_async(&mut server).await {
                Ok(report) => Ok(Some(report)),
                // No right, or a command that a provider has removed.
                Err(err) if matches!(err.code(), Some("NOPERM" | "ERR")) => Ok(None),
                Err(err) => Err(classify(err)),
            }
        })
        .await
    }

    /// Whether every call of the last `time` was answered. Sooner after an outage, living workers may not
    /// have renewed their leases yet.
    pub(super) fn is_steady_for(&self, time: Duration) -> bool {
        let silent_at = self.silent_at.lock();
        let silent_at = silent_at.unwrap_or_else(PoisonError::into_inner);
        silent_at.is_none_or(|at| at.elapsed() >= time)
    }

    /// A connection of the present generation.
    async fn connection(&self) -> Result<Connection, QueueError> {
        let pool = self.connector.pool().await.map_err(classify)?;
        pool.get().await.map_err(unconnected)
    }

    /// Waits for an answer, at most [`CALL_TIMEOUT`], and records when there is none.
    async fn limited<T>(
        &self,
        answer: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let (generation, _) = self.connector.generation();
        let answer = timeout(CALL_TIMEOUT, answer).await.map_err(unavailable);
        let answer = answer.flatten();
        // A script's own refusal, such as `NotHeld`, is an answer and is not recorded. An error reply of the
        // server itself, such as one without memory for a write, counts as no answer.
        if let Err(QueueError::Unavailable { .. }) = answer {
            let silent_at = self.silent_at.lock();
            *silent_at.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            // Whatever failed, the server may no longer be the primary, and may keep its connections open.
            self.connector.end(generation);
        }
        answer
    }

    /// Runs a command that waits for a task, at most `wait`.
    ///
    /// The connection is taken out of its place for the time of the command. If the future is dropped, the
    /// connection is dropped with it, and the server stops waiting as well. A failed command drops the
    /// connection, too. A call that fails meanwhile ends the wait: the task may arrive at another server.
    pub(super) async fn wait(&self, command: &Cmd, wait: Duration) -> Result<(), QueueError> {
        let limit = wait + CALL_TIMEOUT;
        // One wait at a time, as there is one connection; the queue's `turn` allows no more anyway.
        let mut waiting = self.waiting.lock().await;
        let (generation, mut ends) = self.connector.generation();
        let answer = async {
            let mut server = match waiting.take().filter(|(made_in, _)| *made_in == generation) {
                Some((_, server)) => server,
                None => {
                    let server = timeout(CALL_TIMEOUT, self.connection()).await;
                    Connection::take(server.map_err(unavailable)??)
                }
            };
            server.set_response_timeout(limit);
            let answer = timeout(limit, command.exec_async(&mut server));
            answer.await.map_err(unavailable)?.map_err(classify)?;
            Ok(server)
        };
        let answer = tokio::select! {
            answer = answer => answer,
            _ = ends.changed() => return Err(unavailable(Moved)),
        };
        if let Err(QueueError::Unavailable { .. }) = &answer {
            self.connector.end(generation);
        }
        // Only after an answer: a connection whose command failed could give the late answer to the next.
        *waiting = Some((generation, answer?));
        Ok(())
    }
}

impl fmt::Debug for Server {
    /// Shows no address, because it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The fields of a hash or of a stream's entry.
///
/// Other programs write these fields. Bytes that are no UTF-8 are replaced, so that only this task fails.
/// Otherwise the client would refuse the whole answer, and every worker would get it again.
#[derive(Debug)]
pub(super) struct Fields(pub(super) BTreeMap<String, String>);

impl FromRedisValue for Fields {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields: BTreeMap<Vec<u8>, Vec<u8>> = from_redis_value(value)?;
        let fields = fields.iter().map(|(name, value)| (text(name), text(value)));
        Ok(Self(fields.collect()))
    }
}

/// The record of a task's attempts, as the claiming scripts return it.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) deliveries: u32,
    pub(super) deferrals: u32,
    pub(super) deferred_for: Duration,
    pub(super) was_started: bool,
}

impl FromRedisValue for Attempts {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (deliveries, deferrals, deferred_ms, was_started) = from_redis_value(value)?;
        Ok(Self {
            deliveries,
            deferrals,
            deferred_for: Duration::from_millis(deferred_ms),
            was_started,
        })
    }
}

/// Classifies an error of the server. The scripts report their refusals as error codes.
fn classify(err: RedisError) -> QueueError {
    match err.code() {
        // A group that does not exist holds no task.
        Some("NOTHELD" | "NOGROUP") => QueueError::NotHeld,
        Some("SUPERSEDED") => QueueError::Superseded,
        // In a cluster the two keys of the first script, which joins, are in different hash slots.
        Some("CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN") => cluster(),
        _ => unavailable(err),
    }
}

/// Classifies an error of connecting.
fn unconnected(err: PoolError) -> QueueError {
    let PoolError::Backend(err) = err else {
        return unavailable(err);
    };
    // The client does not expose rustls's error, so its text is matched.
    let text = err.to_string();
    match text.strip_prefix("invalid peer certificate: ") {
        Some(why) => unavailable(Untrusted(why.to_owned())),
        None => classify(err),
    }
}

/// The server's certificate is refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server's certificate is not accepted ({0}); SSL_CERT_FILE names an authority of your own"
)]
struct Untrusted(String);

/// A call failed on another connection, so this one is given up as well.
#[derive(Debug, thiserror::Error)]
#[error("another call to the server has failed, and the server may have moved")]
struct Moved;

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError::Unavailable {
        source: Box::new(source),
    }
}

fn cluster() -> QueueError {
    QueueError::Unsuitable {
        reason: "Redis Cluster cannot serve as Dalston's queue, expected a single server or one \
                 behind Sentinel"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        let err = Server::new("http://user:hunter2@example.org").unwrap_err();
        let text = format!("{err} {err:?}");
        assert!(text.contains("expected redis://"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
