//! Makes the connections to the queue's server, and gives all of them up at once.
//!
//! A server can keep its connections open and still not be the right one: after a failover the old primary is
//! a replica that answers every ping and refuses every write. So every pool of connections belongs to a
//! generation. A call that fails ends the generation, and no pool of an ended generation is used again: the next
//! call resolves the server's name, or asks Sentinel, and connects anew.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Manager, Pool, Runtime};
use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError,
};
use tokio::sync::{Mutex, watch};

use super::address::Address;

/// Longest time for a command that does not wait for a task, connecting included.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for connecting to a server: less than that of a call, so that a host's second address is tried
/// as well.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest time for a sentinel's connection, and for its answer. All sentinels are asked at the same time.
const ASK: Duration = Duration::from_secs(1);

/// Makes pools of connections to one address, one after the other.
pub(super) struct Connector {
    address: Address,
    limits: AsyncConnectionConfig,
    generation: Generation,
    /// The newest pool, and the generation that it belongs to.
    pool: Mutex<Option<(u64, Pool)>>,
}

/// The number of the present generation of pools. Connectors that share it give up their pools together.
pub(super) type Generation = Arc<watch::Sender<u64>>;

impl Connector {
    /// Connects to nothing yet.
    pub(super) fn new(address: Address, generation: Generation) -> Self {
        Self {
            address,
            limits: limits(CONNECT, CALL_TIMEOUT),
            generation,
            pool: Mutex::new(None),
        }
    }

    /// The number that all connectors of one server share.
    pub(super) fn shared(&self) -> Generation {
        Arc::clone(&self.generation)
    }

    /// The present generation, and a signal of its end.
    pub(super) fn generation(&self) -> (u64, watch::Receiver<u64>) {
        let mut ends = self.generation.subscribe();
        let generation = *ends.borrow_and_update();
        (generation, ends)
    }

    /// Ends a generation. Does nothing if it has ended already, so that several calls that fail for one
    /// reason cost one reconnection.
    pub(super) fn end(&self, generation: u64) {
        self.generation.send_if_modified(|present| {
            let is_present = *present == generation;
            *present += u64::from(is_present);
            is_present
        });
    }

    /// The pool of the present generation.
    pub(super) async fn pool(&self) -> Result<Pool, RedisError> {
        let mut newest = self.pool.lock().await;
        // Before the address is resolved: if the generation ends meanwhile, this pool may be to the old server.
        let generation = *self.generation.borrow();
        if let Some((made_in, pool)) = &*newest
            && *made_in == generation
        {
            return Ok(pool.clone());
        }
        let manager = Manager::new_with_config(self.server().await?, self.limits.clone())?;
        let pool = Pool::builder(manager)
            // Scripts are short, so 16 connections serve 64 slots.
            .max_size(16)
            .wait_timeout(Some(CALL_TIMEOUT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can keep its time-outs");
        // The calls that still use the old pool's connections drop them.
        *newest = Some((generation, pool.clone()));
        Ok(pool)
    }

    async fn server(&self) -> Result<ConnectionInfo, RedisError> {
        match &self.address {
            Address::Server(server) => Ok(server.clone()),
            Address::Sentinel {
                sentinels,
                primary,
                settings,
            } => {
                let asked = sentinels
                    .iter()
                    .map(|it| Box::pin(ask(it, primary, settings)));
                // The first sentinel that answers counts. If its answer is out of date, the old primary
                // refuses the writes, and that ends the generation.
                let ((host, port), _) = select_ok(asked).await?;
                let server = ConnectionAddr::Tcp(host, port).into_connection_info()?;
                Ok(server.set_redis_settings(settings.clone()))
            }
        }
    }
}

fn limits(connect: Duration, answer: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(answer))
}

/// The host and port of the primary, as a sentinel says.
///
/// A sentinel that demands a password gets the account of the primary.
async fn ask(
    sentinel: &ConnectionInfo,
    primary: &str,
    settings: &RedisConnectionInfo,
) -> Result<(String, u16), RedisError> {
    match ask_as(sentinel.clone(), primary).await {
        Err(err) if err.code() == Some("NOAUTH") => {
            // A sentinel has no databases.
            let account = settings.clone().set_db(0);
            ask_as(sentinel.clone().set_redis_settings(account), primary).await
        }
        answer => answer,
    }
}

async fn ask_as(sentinel: ConnectionInfo, primary: &str) -> Result<(String, u16), RedisError> {
    let client = Client::open(sentinel)?;
    let limits = limits(ASK, ASK);
    let mut sentinel = client
        .get_multiplexed_async_connection_with_config(&limits)
        .await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let server: Option<(String, u16)> = command.query_async(&mut sentinel).await?;
    server.ok_or_else(|| {
        let kind = ErrorKind::MasterNameNotFoundBySentinel;
        RedisError::from((
            kind,
            "Sentinel knows no primary of this name",
            primary.to_owned(),
        ))
    })
}
