//! A program under test: its log, its signals, what it uses, and its certain end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use crate::project;

pub use rustix::process::Signal;

/// How often a wait looks again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running process with a folder of its own; both are gone when this value is.
///
/// When the test is failing the folder stays, and the end of the log is printed.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    folder: Option<TempDir>,
    log: PathBuf,
}

/// What a process holds and has used up to now.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Resident memory.
    pub resident_bytes: usize,
    /// Time on a processor, in user and system mode, all threads.
    pub cpu: Duration,
}

impl Program {
    /// Starts the command with both outputs in one log, in a folder that `prepare` may fill and name
    /// to the command.
    pub fn start(name: &'static str, mut command: Command, folder: TempDir) -> Self {
        let log = folder.path().join("log");
        let output = File::create(&log).expect("a log can be made in a new folder");
        let second = output.try_clone().expect("a descriptor can be copied");
        command
            .stdin(Stdio::null())
            .stdout(output)
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

    /// Sends a signal; [`Signal::KILL`] cannot be caught, [`Signal::STOP`] makes a server silent.
    pub fn signal(&self, signal: Signal) {
        // A process that has just ended cannot be signalled, and need not be.
        let _ = kill_process(self.pid(), signal);
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("the child is ours to wait for")
    }

    /// Waits for the end that something else brings about.
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

    /// Everything it has printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it holds and has used; Linux only. Panics when it has ended.
    #[track_caller]
    pub fn usage(&self) -> Usage {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let read = |name| {
            fs::read_to_string(proc.join(name))
                .unwrap_or_else(|why| panic!("{} has ended: {why}", self.name))
        };
        let descriptors = fs::read_dir(proc.join("fd")).map_or(0, Iterator::count);
        let resident_pages: usize = field(&read("statm"), 1);
        // The second field is the program's name in brackets and may hold blanks.
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

/// Looks until the condition holds; false when it did not within the limit.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// A loopback port that nobody listens on.
///
/// Below the range from which systems take the ports of outgoing connections (32768 on Linux, 49152
/// on macOS), so that no client of ours occupies it before its server does.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const N_PORTS: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time begin at different places.
    let start = (std::process::id() as u16).wrapping_mul(37);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(offset) % N_PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A server that `cargo xtask test` has put in `.servers`.
pub(crate) fn server(name: &str) -> PathBuf {
    let link = project().join(".servers").join(name);
    assert!(
        link.exists(),
        "{name} is missing: `cargo xtask test --tier 2` installs it and links it at .servers/{name}"
    );
    link
}

/// A folder under the system's folder for temporary files.
pub(crate) fn new_folder(name: &str) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("e2e-{name}-"))
        .tempdir()
        .expect("a temporary folder can be made")
}

/// One field of a line that blanks divide.
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
