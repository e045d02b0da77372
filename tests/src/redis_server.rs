//! A real Redis on a free port, with a password that no log may show.

use std::process::Command;
use std::time::Duration;

use redis::{Client, Commands as _, Connection};

use crate::program::{Program, free_port, new_folder, server, wait_until};

/// A Redis or Valkey that stores nothing on disk.
#[derive(Debug)]
pub struct RedisServer {
    /// The process. [`Signal::STOP`](crate::Signal::STOP) stops its answers, as a stalled network does.
    pub program: Program,
    port: u16,
}

impl RedisServer {
    /// The password, which no log of a worker may show.
    pub const PASSWORD: &str = "redis-password-of-the-tests";

    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::start_as(&[])
    }

    /// Starts a server in cluster mode.
    pub fn start_cluster() -> Self {
        Self::start_as(&["--cluster-enabled", "yes"])
    }

    /// Starts a server with these arguments besides its own.
    pub fn start_as(mode: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(server("redis-server"));
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--requirepass", Self::PASSWORD])
            .args(mode);
        let program = Program::start("redis-server", command, new_folder("redis"));
        let this = Self { program, port };
        let client = this.client();
        let answers = wait_until(Duration::from_secs(20), || {
            let connection = client.get_connection_with_timeout(Duration::from_secs(1));
            connection.is_ok_and(|mut it| it.ping::<String>().is_ok())
        });
        assert!(
            answers,
            "redis-server does not answer: {}",
            this.program.log()
        );
        this
    }

    /// `127.0.0.1:port`, for a proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL `redis://...` with the password.
    pub fn url(&self) -> String {
        Self::url_at(&self.address())
    }

    /// The URL for a proxy at this address, with the password.
    pub fn url_at(address: &str) -> String {
        format!("redis://:{}@{address}/0", Self::PASSWORD)
    }

    /// Makes this server a replica of another one. Returns when it has all of the other's keys.
    #[track_caller]
    pub fn follow(&self, primary: &Self) {
        // The primary would wait 5 s for further replicas.
        primary.configure("repl-diskless-sync-delay", "0");
        self.configure("masterauth", Self::PASSWORD);
        let mut follow = redis::cmd("REPLICAOF");
        follow.arg("127.0.0.1").arg(primary.port);
        follow
            .exec(&mut self.connect())
            .expect("the server answers");
        let follows = wait_until(Duration::from_secs(20), || {
            self.info("replication").contains("master_link_status:up")
        });
        assert!(follows, "no replication: {}", self.program.log());
    }

    /// Ends the replication: this server takes writes.
    pub fn promote(&self) {
        let mut promote = redis::cmd("REPLICAOF");
        promote.arg("NO").arg("ONE");
        promote
            .exec(&mut self.connect())
            .expect("the server answers");
    }

    /// Changes a setting.
    pub fn configure(&self, name: &str, value: &str) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        set.exec(&mut self.connect())
            .expect("the server has this setting");
    }

    /// One section of the server's own report; empty if the server does not answer.
    pub fn info(&self, section: &str) -> String {
        let mut info = redis::cmd("INFO");
        let connection = self.client().get_connection();
        let answer = connection.and_then(|mut it| info.arg(section).query(&mut it));
        answer.unwrap_or_default()
    }

    /// A client that connects directly, without a proxy.
    pub fn client(&self) -> Client {
        Client::open(self.url()).expect("the URL is well-formed")
    }

    /// A direct connection, without a proxy.
    pub fn connect(&self) -> Connection {
        self.client()
            .get_connection()
            .expect("the server answered when it was started")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_refuses_who_does_not_know_the_password() {
        let redis = RedisServer::start();
        let unauthorized = Client::open(format!("redis://{}/0", redis.address())).unwrap();
        let refused = unauthorized
            .get_connection()
            .and_then(|mut it| it.ping::<String>());
        assert!(refused.is_err());
        assert_eq!(redis.connect().ping::<String>().unwrap(), "PONG");
    }
}
