//! Ends `transcribe` at SIGINT and SIGTERM, and says which recordings are missing.
//!
//! The kernel gives the first process of a container no default action for a signal, so these two signals need a
//! handler to have any effect there.
//!
//! The thread of the transcriber can be busy for minutes: it loads a model, runs an encoder batch, or waits for
//! standard input. A signal therefore does not wait for that thread, unless it is writing a recording. Three
//! threads take part:
//!
//! | thread | what it does |
//! |---|---|
//! | transcriber | delivers recordings, each within [`Interruption::deliver`]; after a signal it stays in there for good |
//! | signals | waits for signals; starts the thread below at the first, ends the process at the second |
//! | report | waits until no recording is being written, reports the missing ones, and ends the process |

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::complaint::complain;
use crate::process;

/// Longest wait for a recording that is being written. Nobody may be reading the standard output.
const MAX_WRITE_TIME: Duration = Duration::from_secs(3);

/// Longest time from the first signal to the end of the process: half of the ten seconds after which
/// `docker stop` kills.
const MAX_END_TIME: Duration = Duration::from_secs(5);

/// Most names of missing recordings in the report.
const MAX_NAMES: usize = 10;

/// What the threads know about the recordings of a run.
pub(super) struct Interruption {
    /// The names of all recordings, in the order of their delivery.
    names: Vec<String>,
    state: Mutex<State>,
    /// Signals that a recording is written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    /// Recordings that are printed, or whose error is.
    n_delivered: usize,
    is_writing: bool,
    /// No further recording is delivered.
    is_ending: bool,
}

impl Interruption {
    /// Listens for signals from now on. `clear` removes from the terminal what the report must not mix with.
    ///
    /// # Errors
    ///
    /// The system does not let this process listen.
    pub(super) fn listen(
        names: Vec<String>,
        clear: impl FnOnce() + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let interruption = Arc::new(Self {
            names,
            state: Mutex::default(),
            written: Condvar::new(),
        });
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = {
            let _context = runtime.enter();
            Signals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            }
        };
        let reporter = Arc::clone(&interruption);
        let wait = async move {
            let (name, code) = signals.next().await;
            let report = move || reporter.report(name, code, clear);
            // Without a thread for the report the process ends all the same, after the longest time for it.
            let _ = thread::Builder::new()
                .name("report".to_owned())
                .spawn(report);
            match tokio::time::timeout(MAX_END_TIME, signals.next()).await {
                Ok((_, second)) => process::end(second),
                Err(_) => process::end(code),
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(wait))?;
        Ok(interruption)
    }

    /// Calls `write`, which prints the next recording or its error. Does not return once a signal came.
    ///
    /// # Errors
    ///
    /// Those of `write`; the recording then counts as missing.
    pub(super) fn deliver(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.lock_unless_ending().is_writing = true;
        let written = write();
        let mut state = self.lock();
        state.is_writing = false;
        state.n_delivered += usize::from(written.is_ok());
        self.written.notify_all();
        written
    }

    /// Does not return once a signal came.
    pub(super) fn wait_if_ending(&self) {
        drop(self.lock_unless_ending());
    }

    fn lock_unless_ending(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        if !state.is_ending {
            return state;
        }
        drop(state);
        loop {
            thread::park();
        }
    }

    fn report(&self, signal: &str, code: u8, clear: impl FnOnce()) -> ! {
        let mut state = self.lock();
        state.is_ending = true;
        let waited = self
            .written
            .wait_timeout_while(state, MAX_WRITE_TIME, |state| state.is_writing);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let missing = missing(&self.names[state.n_delivered..]);
        drop(state);
        // The transcriber's thread holds the progress bar while it writes.
        if !timeout.timed_out() {
            clear();
        }
        complain(&format!("error: interrupted by {signal}: {missing}"));
        process::end(code)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says how many recordings are missing and which.
fn missing(names: &[String]) -> String {
    let mut text = match names.len() {
        0 => return "no recording is missing".to_owned(),
        1 => "1 recording is missing: ".to_owned(),
        n => format!("{n} recordings are missing: "),
    };
    let named = &names[..names.len().min(MAX_NAMES)];
    text += &named.join(", ");
    let n_others = names.len() - named.len();
    if n_others > 0 {
        write!(text, " and {n_others} more").expect("a string takes anything");
    }
    text
}

/// The signals that end the command.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Waits for the next signal. Returns its name, and the exit code by which shells report it: 128 plus its
    /// number.
    async fn next(&mut self) -> (&'static str, u8) {
        poll_fn(|context| {
            if self.interrupt.poll_recv(context).is_ready() {
                Poll::Ready(("SIGINT", 130))
            } else if self.terminate.poll_recv(context).is_ready() {
                Poll::Ready(("SIGTERM", 143))
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n_names: usize, expected: &str) {
        let names: Vec<_> = (1..=n_names).map(|n| n.to_string()).collect();
        assert_eq!(missing(&names), expected);
    }

    #[test]
    fn at_most_ten_missing_recordings_are_named() {
        check(0, "no recording is missing");
        check(1, "1 recording is missing: 1");
        check(
            10,
            "10 recordings are missing: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
        );
        check(
            12,
            "12 recordings are missing: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more",
        );
    }
}
