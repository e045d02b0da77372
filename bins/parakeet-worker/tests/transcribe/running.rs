//! A program between its start and a signal.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::project;

/// The program between its start and a signal.
pub(crate) struct Running {
    /// The program itself, or the `unshare` around it.
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    /// The program's number.
    pub(crate) pid: u32,
    pub(crate) printed: String,
}

/// The end of a program after a signal.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let pid = child.id();
        let printed = String::new();
        Self {
            child,
            stdout,
            pid,
            printed,
        }
    }

    /// Starts the program as process 1 of a namespace; `None` if the system allows no namespace.
    pub(crate) fn start_as_process_1(program: &Command) -> Option<Self> {
        let wrapper = ["--pid --fork", "--user --map-root-user --pid --fork"]
            .map(|flags| flags.split(' ').collect::<Vec<_>>())
            .into_iter()
            .find(|flags| {
                let probe = Command::new("unshare").args(flags).arg("true").output();
                probe.is_ok_and(|probe| probe.status.success())
            })?;
        let mut unshare = Command::new("unshare");
        unshare
            .args(wrapper)
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(project())
            .env("OMP_NUM_THREADS", "1");
        let mut running = Self::start(&mut unshare);
        let wrapper = running.child.id();
        running.pid = wait_for(|| {
            let children = fs::read_to_string(format!("/proc/{wrapper}/task/{wrapper}/children"));
            children.ok()?.split_whitespace().next()?.parse().ok()
        });
        Some(running)
    }

    pub(crate) fn read_lines(&mut self, n: usize) {
        for _ in 0..n {
            let read = self.stdout.read_line(&mut self.printed);
            assert_ne!(read.expect("all output is UTF-8"), 0, "the program ended");
        }
    }

    /// Waits until the program has a handler for SIGTERM.
    pub(crate) fn wait_until_it_listens(&self) {
        let status = format!("/proc/{}/status", self.pid);
        wait_for(|| {
            let status = fs::read_to_string(&status).ok()?;
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            // Bit 14 is signal 15.
            (caught >> 14 & 1 == 1).then_some(())
        });
    }

    /// Whether no thread of the program runs or waits for a processor.
    pub(crate) fn sleeps(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid));
        threads.expect("the program runs").flatten().all(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state follows the name, which is in brackets.
            stat.rsplit(')')
                .next()
                .is_some_and(|stat| stat.starts_with(" S"))
        })
    }

    pub(crate) fn send(&self, signal: &str) {
        let pid = self.pid.to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.expect("every system has kill").success());
    }

    /// Reads the rest of both outputs.
    pub(crate) fn end(mut self) -> Ended {
        let begun = Instant::now();
        let mut stderr = String::new();
        let mut errors = self.child.stderr.take().expect("it is piped");
        let reader = thread::spawn(move || errors.read_to_string(&mut stderr).map(|_| stderr));
        self.stdout
            .read_to_string(&mut self.printed)
            .expect("all output is UTF-8");
        let code = self.child.wait().expect("it ends").code();
        let took = begun.elapsed();
        let stderr = reader.join().expect("it does not panic");
        Ended {
            code,
            printed: self.printed,
            stderr: stderr.expect("all output is UTF-8"),
            took,
        }
    }
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn wait_for<T>(ask: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waits in vain");
        thread::sleep(Duration::from_millis(1));
    }
}
