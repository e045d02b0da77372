//! Writes log lines on a thread of its own, so that a reader that stops reading stops no worker.
//!
//! A pipe whose reader stands still blocks whoever writes to it. If that were a thread of the runtime, the
//! slots and the health pages would stand still as well. `tracing-appender` has such a thread, too, but it
//! prints to standard output when its queue is full at the end of the process, and would block there for ever.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Most bytes of lines that wait for the reader: about 10,000 lines. Later lines are dropped and counted.
pub(super) const MAX_QUEUED_BYTES: usize = 4 << 20;

/// Longest wait for the lines that are queued when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Queues lines for the log's thread; never waits.
#[derive(Clone, Debug)]
pub(super) struct LineQueue {
    messages: Sender<Message>,
    fill: Arc<Fill>,
}

/// How full the queue is, and how many lines it refused.
#[derive(Debug, Default)]
struct Fill {
    n_bytes: AtomicUsize,
    n_dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Asks for an answer when all earlier lines are written.
    Flush(Sender<()>),
}

/// The log of a process. Dropping the value writes the lines that are still queued, and waits for that at
/// most 1 s: keep it until the end of `main`.
#[derive(Debug)]
#[must_use = "the last lines of the log are lost without it"]
pub struct LogGuard {
    messages: Sender<Message>,
}

/// Starts the log's thread, which writes to `out`. The thread ends with the process.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(LineQueue, LogGuard)> {
    let (messages, arriving) = mpsc::channel();
    let fill = Arc::new(Fill::default());
    let guard = LogGuard {
        messages: messages.clone(),
    };
    let of_thread = Arc::clone(&fill);
    thread::Builder::new()
        .name("log".into())
        .spawn(move || write_lines(&arriving, &of_thread, out))?;
    Ok((LineQueue { messages, fill }, guard))
}

fn write_lines(arriving: &Receiver<Message>, fill: &Fill, mut out: impl Write) {
    for message in arriving {
        match message {
            // An error means that the reader is gone: there is nobody to tell.
            Message::Line(line) => {
                let _ = out.write_all(&line).and_then(|()| out.flush());
                let n_left = fill.n_bytes.fetch_sub(line.len(), Ordering::Relaxed) - line.len();
                // Told when half of the queue is free again, so that this line is not dropped itself.
                if n_left < MAX_QUEUED_BYTES / 2 {
                    let n_lines = fill.n_dropped.swap(0, Ordering::Relaxed);
                    if n_lines > 0 {
                        tracing::warn!(n_lines, "log_lines_dropped");
                    }
                }
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

impl Write for LineQueue {
    /// Queues one line, or drops it whole. The subscriber writes each line with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let n_bytes = &self.fill.n_bytes;
        // Two threads may both find room for one line; the limit need not be exact.
        if n_bytes.load(Ordering::Relaxed) + line.len() > MAX_QUEUED_BYTES {
            self.fill.n_dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            // Before the send: the thread subtracts what it has written.
            n_bytes.fetch_add(line.len(), Ordering::Relaxed);
            // Fails only if the thread has panicked; a line about that would be lost as well.
            let _ = self.messages.send(Message::Line(line.to_vec()));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LineQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (done, written) = mpsc::channel();
        if self.messages.send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// An output that blocks while the test holds the lock.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_last_lines_are_written_before_the_process_ends() {
        let output = Output::default();
        let (mut lines, guard) = start(output.clone()).expect("a thread");
        for n in 0..1000 {
            writeln!(lines, "{n:05}").expect("it never fails");
        }
        drop(guard);
        let written = output.0.lock().expect("no panic");
        assert!(written.ends_with(b"00999\n"), "{} bytes", written.len());
    }

    #[test]
    fn an_output_that_stands_still_blocks_no_writer_and_no_end() {
        let output = Output::default();
        let blocked = output.0.lock().expect("no panic");
        let (mut lines, guard) = start(output.clone()).expect("a thread");
        let line = vec![b'x'; 1 << 20];
        let began = Instant::now();
        for _ in 0..20 {
            lines.write_all(&line).expect("it never fails");
        }
        drop(guard);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(blocked.is_empty());
        let n_dropped = lines.fill.n_dropped.load(Ordering::Relaxed);
        assert_eq!(n_dropped, 16, "4 MiB wait, and no more");
    }
}
