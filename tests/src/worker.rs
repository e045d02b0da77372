//! A worker under test, with the environment that Dalston would give it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::contract::Contract;
use crate::object_server::ObjectServer;
use crate::program::{Program, free_port, new_folder, wait_until};

/// The settings of a worker, which it gets as environment variables.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The contract of its messages.
    pub contract: Contract,
    /// The id of the engine, which names the queue.
    pub engine_id: String,
    /// The id of the worker.
    pub worker_id: String,
    /// The URL of Redis, or of a proxy in front of Redis.
    pub redis_url: String,
    /// The endpoint of the store, or of a proxy in front of the store.
    pub s3_endpoint: String,
    /// The time without a heartbeat after which other workers may take its tasks.
    pub lease: Duration,
    /// Further environment variables, which override the ones above.
    pub more: Vec<(&'static str, String)>,
}

/// A running worker process.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub program: Program,
    /// The port of its health pages.
    pub port: u16,
}

impl WorkerSettings {
    /// Starts a program with these arguments as a worker.
    ///
    /// The process inherits the variables that any program needs, and none that could change the worker's
    /// settings.
    pub fn start(&self, program: &Path, arguments: &[&str]) -> Worker {
        self.start_with(program, arguments, Program::start)
    }

    /// As [`start`](Self::start), but nobody reads the worker's standard output, which is its log.
    pub fn start_unread(&self, program: &Path, arguments: &[&str]) -> Worker {
        self.start_with(program, arguments, Program::start_unread)
    }

    fn start_with(
        &self,
        program: &Path,
        arguments: &[&str],
        start: impl FnOnce(&'static str, Command, TempDir) -> Program,
    ) -> Worker {
        let port = free_port();
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        let inherited = [
            "PATH",
            "HOME",
            "TMPDIR",
            "LD_LIBRARY_PATH",
            "OMP_NUM_THREADS",
        ];
        command.envs(
            inherited
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs([
            ("DALSTON_CONTRACT", self.contract.name()),
            ("DALSTON_ENGINE_ID", &self.engine_id),
            ("DALSTON_WORKER_ID", &self.worker_id),
            ("REDIS_URL", &self.redis_url),
            ("DALSTON_S3_BUCKET", ObjectServer::BUCKET),
            ("DALSTON_S3_REGION", "us-east-1"),
            ("DALSTON_S3_ENDPOINT_URL", &self.s3_endpoint),
            ("AWS_ACCESS_KEY_ID", ObjectServer::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", ObjectServer::SECRET_KEY),
            ("DALSTON_LEASE_S", &self.lease.as_secs_f64().to_string()),
            ("DALSTON_METRICS_PORT", &port.to_string()),
        ]);
        command.envs(self.more.iter().map(|(name, value)| (name, value)));
        let program = start("worker", command, new_folder("worker"));
        Worker { program, port }
    }
}

impl Worker {
    /// The HTTP status and the body of one of its pages, `/health/ready` for example; `None` if the worker
    /// does not answer.
    pub fn page(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Whether its page reports that it takes tasks.
    pub fn is_ready(&self) -> bool {
        self.page("/health/ready")
            .is_some_and(|(status, _)| status == 200)
    }

    /// Waits until its page reports that it takes tasks.
    #[track_caller]
    pub fn wait_until_ready(&self, limit: Duration) {
        let ready = wait_until(limit, || self.is_ready());
        assert!(
            ready,
            "the worker is not ready after {limit:?}: {}",
            self.program.log()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_its_settings_and_nothing_of_ours() {
        let settings = WorkerSettings {
            contract: Contract::M22Typed,
            engine_id: "engine".to_owned(),
            worker_id: "worker".to_owned(),
            redis_url: "redis://localhost".to_owned(),
            s3_endpoint: "http://localhost".to_owned(),
            lease: Duration::from_secs(2),
            more: vec![("DALSTON_LEASE_S", "3".to_owned())],
        };
        let mut worker = settings.start(Path::new("env"), &[]);
        assert!(worker.program.wait(Duration::from_secs(10)).success());
        let log = worker.program.log();
        for line in [
            "DALSTON_CONTRACT=m22-typed",
            "DALSTON_WORKER_ID=worker",
            "DALSTON_LEASE_S=3",
            "AWS_SECRET_ACCESS_KEY=s3-secret-of-the-tests",
        ] {
            assert!(log.lines().any(|it| it == line), "{line} is missing: {log}");
        }
        assert!(
            !log.contains("CARGO"),
            "a variable of cargo came through: {log}"
        );
        assert_eq!(worker.page("/health"), None, "nobody answers");
    }
}
