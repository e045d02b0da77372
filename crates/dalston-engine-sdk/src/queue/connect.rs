//! Makes the connections to the queue's server, and gives all of them up at once.
//!
//! A server can keep its connections open and still not be the right one: after a failover the old primary is
//! a replica that answers every ping and refuses every write. So a connection belongs to a generation. A call
//! that fails ends the generation, and no connection of an ended generation is used again: the next call
//! resolves the server's name, or asks Sentinel, and connects anew.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError,
};
use tokio::sync::watch;

use super::address::Address;

/// Longest time for connecting to a server: less than that of a call, so that a host's second address is tried
/// as well.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// Longest time for a sentinel's connection, and for its answer. All sentinels are asked at the same time.
const ASK: Duration = Duration::from_secs(1);

/// Makes connections to one address.
pub(super) struct Connector {
    address: Address,
    limits: AsyncConnectionConfig,
    generation: Generation,
}

/// The number of the present generation of connections. Connectors that share it give up their connections
/// together.
pub(super) type Generation = Arc<watch::Sender<u64>>;

/// A connection of one generation.
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    pub(super) generation: u64,
}

impl Connector {
    /// Connects to nothing yet. `answer` is the longest time for an answer of the server.
    pub(super) fn new(address: Address, answer: Duration, generation: Generation) -> Self {
        Self {
            address,
            limits: limits(CONNECT, answer),
            generation,
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

impl Manager for Connector {
    type Type = Connected;
    type Error = RedisError;

    async fn create(&self) -> Result<Connected, RedisError> {
        // Before connecting: if the generation ends meanwhile, this connection may be to the old server.
        let generation = *self.generation.borrow();
        let client = Client::open(self.server().await?)?;
        let connection = client.get_multiplexed_async_connection_with_config(&self.limits);
        Ok(Connected {
            connection: connection.await?,
            generation,
        })
    }

    async fn recycle(&self, it: &mut Connected, _: &Metrics) -> RecycleResult<RedisError> {
        if it.generation != *self.generation.borrow() {
            return Err(RecycleError::message("a call has failed since"));
        }
        Ok(redis::cmd("PING").exec_async(&mut it.connection).await?)
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
