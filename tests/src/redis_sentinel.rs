//! A real sentinel that watches one primary and its replica.

use std::fs;
use std::process::Command;
use std::time::Duration;

use redis::{Client, FromRedisValue, Value};

use crate::program::{Program, free_port, new_folder, server, wait_until};
use crate::redis_server::RedisServer;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A sentinel that knows a primary under the name [`RedisSentinel::NAME`], and demands the servers' password.
#[derive(Debug)]
pub struct RedisSentinel {
    program: Program,
    port: u16,
}

impl RedisSentinel {
    /// The name of the primary.
    pub const NAME: &str = "queue";

    /// Starts a sentinel, and waits until it knows the primary's replica.
    #[track_caller]
    pub fn start(primary: &RedisServer) -> Self {
        let (port, folder) = (free_port(), new_folder("sentinel"));
        let (name, password) = (Self::NAME, RedisServer::PASSWORD);
        let address = primary.address().replace(':', " ");
        // The sentinel writes what it learns into its file.
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nrequirepass {password}\nsentinel monitor {name} {address} 1\n\
             sentinel auth-pass {name} {password}\nsentinel down-after-milliseconds {name} 2000\n"
        );
        fs::write(&file, settings).expect("the folder is ours");
        let mut command = Command::new(server("redis-server"));
        command.arg(file).arg("--sentinel");
        let program = Program::start("sentinel", command, folder);
        let this = Self { program, port };
        let knows = wait_until(TIMEOUT, || {
            let replicas: Option<Vec<Value>> = this.ask("REPLICAS");
            replicas.is_some_and(|it| it.len() == 1)
        });
        assert!(
            knows,
            "the sentinel knows no replica: {}",
            this.program.log()
        );
        this
    }

    /// The port of the sentinel on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has the sentinel make the replica the primary, and the old primary a replica.
    #[track_caller]
    pub fn fail_over(&self, primary: &RedisServer, replica: &RedisServer) {
        // Refused until the sentinel has heard from the replica.
        let begun = wait_until(TIMEOUT, || self.ask::<Value>("FAILOVER").is_some());
        assert!(begun, "no failover: {}", self.program.log());
        let turned = wait_until(TIMEOUT, || {
            replica.info("replication").contains("role:master")
                && primary.info("replication").contains("role:slave")
        });
        assert!(turned, "the roles are as before: {}", self.program.log());
    }

    fn ask<T: FromRedisValue>(&self, question: &str) -> Option<T> {
        let address = format!("127.0.0.1:{}", self.port);
        let url = format!("redis://:{}@{address}", RedisServer::PASSWORD);
        let client = Client::open(url).expect("the URL is well-formed");
        let mut sentinel = client.get_connection().ok()?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg(question).arg(Self::NAME).query(&mut sentinel).ok()
    }
}
