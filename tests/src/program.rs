//! Runs programs under test: their logs, signals, resources, and their end in any case.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use crate::project;

pub use rustix::process::Signal;

/// The interval at which a wait checks its condition.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A running process with its own folder. Dropping the value kills the process and removes the folder.
///
/// If the test is failing, the folder is kept and the end of the log is printed.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    folder: Option<TempDir>,
    log: PathBuf,
}

/// The resources of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Resident memory.
    pub resident_bytes: usize,
    /// Time on processors so far, of all threads, in user and system mode.
    pub cpu: Duration,
}

impl Program {
    /// Starts the command in this folder. Both of its outputs go to one log there.
    pub fn start(name: &'static str, command: Command, folder: TempDir) -> Self {
        Self::start_with(name, command, folder, Stdio::from)
    }

    /// As [`start`](Self::start), but its standard output is a pipe that nobody reads. The log gets only its
    /// standard error.
    pub fn start_unread(name: &'static str, command: Command, folder: TempDir) -> Self {
        // The child has the other end of the pipe, which is closed when the child is dropped.
        Self::start_with(name, command, folder, |_| Stdio::piped())
    }

    fn start_with(
        name: &'static str,
        mut command: Command,
        folder: TempDir,
        output: impl FnOnce(File) -> Stdio,
    ) -> Self {
        let log = folder.path().join("log");
        let file = File::create(&log).expect("a log can be made in a new folder");
        let second = file.try_clone().expect("a descriptor can be copied");
        command
            .stdin(Stdio::null())
            .stdout(output(file))
            .stderr(second)
            .current_dir(folder.path());
        let child = command
            .spawn()
            .unwrap_or_else(|why| panic!("cannot start {name} ({command:?}): {why}"));
        Self {
            name,
            child,
            folder: Some(folder),
            log,
        }
    }

    /// Sends a signal. [`Signal::KILL`] cannot be caught; a server that got [`Signal::STOP`] stops answering.
    pub fn signal(&self, signal: Signal) {
        // The process may have ended since, and then needs no signal.
        let _ = kill_process(self.pid(), signal);
    }

    /// Kills the process with SIGKILL and waits until it has ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The exit status; `None` while the process runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("the child is ours to wait for")
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut end = None;
        let ended = wait_until(limit, || {
            end = self.ended();
            end.is_some()
        });
        assert!(ended, "{} still runs after {limit:?}", self.name);
        end.expect("the wait ended because there is one")
    }

    /// The folder that the process runs in.
    pub fn folder(&self) -> &Path {
        self.log.parent().expect("the log lies in the folder")
    }

    /// Everything that the process has printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The resources of the process, on Linux only. Panics if the process has ended.
    #[track_caller]
    pub fn usage(&self) -> Usage {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let read = |name| {
            fs::read_to_string(proc.join(name))
                .unwrap_or_else(|why| panic!("{} has ended: {why}", self.name))
        };
        let descriptors = fs::read_dir(proc.join("fd")).map_or(0, Iterator::count);
        let resident_pages: usize = field(&read("statm"), 1);
        // The second field is the program's name in brackets, which may contain blanks.
        let stat = read("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        // utime and stime, fields 14 and 15 of proc_pid_stat(5), counted from the one after the name.
        let ticks: u64 = field::<u64>(after_name, 11) + field::<u64>(after_name, 12);
        Usage {
            descriptors,
            resident_bytes: resident_pages * rustix::param::page_size(),
            cpu: Duration::from_secs_f64(
                ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            ),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            eprintln!("---- the end of the log of {}:\n{end}", self.name);
            if let Some(folder) = self.folder.take() {
                eprintln!("---- all of it is in {}", folder.keep().display());
            }
        }
    }
}

/// Waits until the condition holds. Returns false if it does not within the limit.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// A loopback port on which nobody listens.
///
/// The port is below the range of outgoing connections (from 32768 on Linux, from 49152 on macOS). Otherwise a
/// client's connection could take the port before its server does.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const N_PORTS: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different ports.
    let start = (std::process::id() as u16).wrapping_mul(37);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(offset) % N_PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The path of a server that `cargo xtask test` has linked in `.servers`.
pub(crate) fn server(name: &str) -> PathBuf {
    let link = project().join(".servers").join(name);
    assert!(
        link.exists(),
        "{name} is missing: `cargo xtask test --tier 2` installs it and links it at .servers/{name}"
    );
    link
}

/// A new folder for temporary files.
pub(crate) fn new_folder(name: &str) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("e2e-{name}-"))
        .tempdir()
        .expect("a temporary folder can be made")
}

/// One field of a line whose fields are separated by blanks.
fn field<T: std::str::FromStr + Default>(line: &str, index: usize) -> T {
    line.split_whitespace()
        .nth(index)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Program::start("sh", command, new_folder("sh"))
    }

    #[test]
    fn the_log_holds_both_outputs_and_the_end_is_known() {
        let mut program = shell("echo one; echo two >&2; exit 3");
        assert_eq!(program.wait(Duration::from_secs(10)).code(), Some(3));
        assert_eq!(program.log(), "one\ntwo\n");
    }

    #[test]
    fn a_program_and_its_folder_are_gone_with_its_value() {
        let program = shell("sleep 60");
        let folder = program.folder.as_ref().unwrap().path().to_owned();
        let proc = PathBuf::from(format!("/proc/{}", program.child.id()));
        assert!(folder.is_dir());
        drop(program);
        assert!(!folder.exists());
        assert!(!proc.exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_busy_process_uses_is_seen() {
        let program = shell("exec 7</dev/null; while :; do :; done");
        let busy = wait_until(Duration::from_secs(20), || {
            program.usage().cpu > Duration::from_millis(50)
        });
        assert!(busy, "{:?}", program.usage());
        assert!((4..20).contains(&program.usage().descriptors));
        assert!(program.usage().resident_bytes > 100_000);
    }

    #[test]
    fn free_ports_differ() {
        assert_ne!(free_port(), free_port());
    }
}
