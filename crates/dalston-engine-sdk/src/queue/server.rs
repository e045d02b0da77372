//! One Redis server: a pool of connections, a time-out on every call, and errors sorted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, ParsingError, Pipeline, RedisError,
    ScriptInvocation, Value, from_redis_value,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::QueueError;

/// Longest that a command that does not wait for anything may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest that connecting may take: less than [`PATIENCE`], so that a second server address is tried.
const CONNECT: Duration = Duration::from_secs(3);

/// Shortest wait for a task: to Redis, 0 means for ever.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A Redis (or Valkey) server of version 6.2 or later.
pub(super) struct Server {
    pool: Pool,
    /// For commands that wait for a task; kept out of the pool, because a waiting connection answers
    /// nothing else.
    waiting: Mutex<Option<MultiplexedConnection>>,
    /// When a call that waits for no task last got no answer.
    silent_at: std::sync::Mutex<Option<Instant>>,
}

impl Server {
    /// The server at `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS. Connects to
    /// nothing yet.
    pub(super) fn new(url: &str) -> Result<Self, QueueError> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(PATIENCE));
        // The cause may quote the URL, and the URL a password: neither is told.
        let manager =
            Manager::new_with_config(url, limits).map_err(|_| QueueError::Unsuitable {
                reason: "REDIS_URL is not the address of a Redis server, expected \
                     redis://[user:password@]host:port[/db] or rediss://"
                    .to_owned(),
            })?;
        let pool = Pool::builder(manager)
            .max_size(16)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can keep its time-outs");
        Ok(Self {
            pool,
            waiting: Mutex::new(None),
            silent_at: std::sync::Mutex::new(None),
        })
    }

    /// Runs a script.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        self.limited(async {
            let mut server = self.pool.get().await.map_err(unconnected)?;
            script.invoke_async(&mut server).await.map_err(sorted)
        })
        .await
    }

    /// Runs several commands, all or nothing.
    pub(super) async fn run_all(&self, commands: &Pipeline) -> Result<(), QueueError> {
        self.limited(async {
            let mut server = self.pool.get().await.map_err(unconnected)?;
            commands.exec_async(&mut server).await.map_err(sorted)
        })
        .await
    }

    /// Whether no call has failed to get an answer for so long. Before that the living may not have renewed
    /// their leases.
    pub(super) fn is_steady_for(&self, time: Duration) -> bool {
        let silent_at = self.silent_at.lock();
        let silent_at = silent_at.unwrap_or_else(PoisonError::into_inner);
        silent_at.is_none_or(|at| at.elapsed() >= time)
    }

    /// Waits for an answer, but not for ever, and takes note if there is none.
    async fn limited<T>(
        &self,
        answer: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let answer = timeout(PATIENCE, answer).await.map_err(unavailable);
        let answer = answer.flatten();
        if let Err(QueueError::Unavailable { .. }) = answer {
            let silent_at = self.silent_at.lock();
            *silent_at.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        answer
    }

    /// Runs a command that waits for a task up to `patience`. When the future is dropped, the
    /// connection goes with it, so that the server stops waiting as well.
    pub(super) async fn wait(&self, command: &Cmd, patience: Duration) -> Result<(), QueueError> {
        let limit = patience + PATIENCE;
        let mut waiting = self.waiting.lock().await;
        let mut server = match waiting.take() {
            Some(server) => server,
            None => {
                let server = self.pool.get().await.map_err(unconnected)?;
                Connection::take(server)
            }
        };
        server.set_response_timeout(limit);
        let answer = timeout(limit, command.exec_async(&mut server));
        answer.await.map_err(unavailable)?.map_err(sorted)?;
        *waiting = Some(server);
        Ok(())
    }
}

impl fmt::Debug for Server {
    /// Shows no address: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The fields of a hash or an entry, written by others. What is no UTF-8 in them is replaced: the task is
/// then wrong in its own way and fails, instead of being an answer that no worker can read.
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

/// Sorts what a server answers. The scripts' own refusals come as error codes.
fn sorted(err: RedisError) -> QueueError {
    match err.code() {
        // A group that is gone holds nothing.
        Some("NOTHELD" | "NOGROUP") => QueueError::NotHeld,
        Some("SUPERSEDED") => QueueError::Superseded,
        // A cluster has the two keys of the first script, the one that joins, in different slots.
        Some("CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN") => cluster(),
        _ => unavailable(err),
    }
}

/// Why there is no connection.
fn unconnected(err: PoolError) -> QueueError {
    let PoolError::Backend(err) = err else {
        return unavailable(err);
    };
    // The words are those of rustls, whose own error the client keeps to itself.
    let told = err.to_string();
    match told.strip_prefix("invalid peer certificate: ") {
        Some(why) => unavailable(Untrusted(why.to_owned())),
        None => sorted(err),
    }
}

/// Why TLS is refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server's certificate is not accepted ({0}); SSL_CERT_FILE names an authority of your own"
)]
struct Untrusted(String);

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
        let told = format!("{err} {err:?}");
        assert!(told.contains("expected redis://"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
