//! The address of the queue: a Redis server, a socket of this machine, or a primary that Sentinel knows.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// Where the queue is.
#[derive(Clone)]
pub(crate) enum Address {
    /// One server, by host and port or by the path of its socket.
    Server(ConnectionInfo),
    /// The server that Sentinel calls the primary at the moment of connecting.
    Sentinel {
        /// The sentinels, without credentials.
        sentinels: Vec<ConnectionInfo>,
        /// The name by which the sentinels know the primary.
        primary: String,
        /// Credentials and database, for the primary.
        settings: RedisConnectionInfo,
    },
}

/// All forms of an address, for an error.
const FORMS: &str = "redis://host:port, rediss://host:port, unix:///path or \
                     redis+sentinel://host:port,host:port/primary, with user:password@ before the host and \
                     /db at the end";

const SERVER_FORM: &str = "redis://user:password@host:port/db or rediss://, with %2F for / and %23 for # in the \
                           password";

const SOCKET_FORM: &str = "unix:///path?db=0&user=name&pass=password";

const SENTINEL_FORM: &str = "redis+sentinel://user:password@host:port,host:port/primary/db, with %2F for / and \
                             %23 for # in the password";

/// The port of a sentinel, and the name of the primary in the configuration file that Redis ships.
const SENTINEL_PORT: u16 = 26_379;
const PRIMARY: &str = "mymaster";

impl Address {
    /// Reads an address; connects to nothing.
    ///
    /// # Errors
    ///
    /// The form that was expected. It quotes nothing of `url`, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let server = |form| {
            let server = url.into_connection_info().map_err(|_| form)?;
            Ok(Self::Server(server))
        };
        match url.split_once("://") {
            Some(("redis" | "rediss", _)) => server(SERVER_FORM),
            Some(("unix", _)) => server(SOCKET_FORM),
            Some(("redis+sentinel", rest)) => sentinel(rest).ok_or(SENTINEL_FORM),
            _ => Err(FORMS),
        }
    }
}

/// Reads `[user:password@]host[:port][,host[:port]...][/[primary]][/db]`.
fn sentinel(text: &str) -> Option<Address> {
    let (authority, path) = text.split_once('/').unwrap_or((text, ""));
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
        None => (String::new(), authority),
    };
    let (primary, db) = path.split_once('/').unwrap_or((path, ""));
    if primary.contains(['?', '#']) {
        return None;
    }
    // The client's own parser reads credentials and database.
    let settings = format!("redis://{credentials}sentinel/{db}");
    let settings = settings.into_connection_info().ok()?;
    let sentinels: Option<Vec<_>> = hosts.split(',').map(host).collect();
    Some(Address::Sentinel {
        sentinels: sentinels?,
        primary: if primary.is_empty() { PRIMARY } else { primary }.to_owned(),
        settings: settings.redis_settings().clone(),
    })
}

/// The sentinel at `host[:port]`.
fn host(text: &str) -> Option<ConnectionInfo> {
    // A colon within brackets belongs to an IPv6 address.
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']'));
    let server = match has_port {
        true => format!("redis://{text}"),
        false => format!("redis://{text}:{SENTINEL_PORT}"),
    };
    let server = server.into_connection_info().ok()?;
    // Only host and port: a slash or a question mark has ended the authority before.
    matches!(server.addr(), ConnectionAddr::Tcp(host, _) if !host.is_empty()).then_some(server)
}

impl fmt::Debug for Address {
    /// Shows nothing, because an address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// The address in one line, with its credentials.
    fn check(url: &str, expected: Expect) {
        let shown = |server: &ConnectionInfo| server.addr().to_string();
        let account = |settings: &RedisConnectionInfo| {
            let (user, password) = (settings.username(), settings.password());
            format!("{user:?} {password:?} db {}", settings.db())
        };
        let line = match Address::parse(url) {
            Ok(Address::Server(server)) => {
                format!("{} {}", shown(&server), account(server.redis_settings()))
            }
            Ok(Address::Sentinel {
                sentinels,
                primary,
                settings,
            }) => {
                let sentinels: Vec<_> = sentinels.iter().map(shown).collect();
                format!("{primary} of {sentinels:?} {}", account(&settings))
            }
            Err(expected) => format!("expected {expected}"),
        };
        expected.assert_eq(&line);
    }

    #[test]
    fn a_server_has_host_port_account_and_database() {
        check("redis://queue", expect!["queue:6379 None None db 0"]);
        check(
            "redis://user:pass%2Fword@queue:6380/2",
            expect![[r#"queue:6380 Some("user") Some("pass/word") db 2"#]],
        );
        check(
            "rediss://:p@queue",
            expect![[r#"queue:6379 None Some("p") db 0"#]],
        );
    }

    #[test]
    fn a_socket_has_a_path_account_and_database() {
        check(
            "unix:///run/redis.sock?db=1&user=u&pass=p",
            expect![[r#"/run/redis.sock Some("u") Some("p") db 1"#]],
        );
        check(
            "unix://run/redis.sock",
            expect!["expected unix:///path?db=0&user=name&pass=password"],
        );
    }

    #[test]
    fn a_primary_has_sentinels_a_name_an_account_and_a_database() {
        check(
            "redis+sentinel://one",
            expect![[r#"mymaster of ["one:26379"] None None db 0"#]],
        );
        check(
            "redis+sentinel://user:pass@one:26380,two,[::1],[::1]:7/queue/3",
            expect![[
                r#"queue of ["one:26380", "two:26379", "::1:26379", "::1:7"] Some("user") Some("pass") db 3"#
            ]],
        );
        check(
            "redis+sentinel://:p@one//3",
            expect![[r#"mymaster of ["one:26379"] None Some("p") db 3"#]],
        );
    }

    #[test]
    fn whatever_is_wrong_is_refused_without_a_word_of_it() {
        for url in [
            "http://user:hunter2@queue",
            "hunter2",
            "redis://:hunter2",
            "redis://:hunter2@queue:port",
            "redis://:hunter2@queue/name",
            "redis+sentinel://",
            "redis+sentinel://:hunter2@",
            "redis+sentinel://:hunter2@one,,two",
            "redis+sentinel://:hunter2@one:port",
            "redis+sentinel://:hunter2@one/name/db",
            "redis+sentinel://:hunter2@one/name?db=1",
            "unix://",
        ] {
            let expected = Address::parse(url).expect_err(url);
            assert!(!expected.contains("hunter2"), "{url}: {expected}");
        }
    }
}
