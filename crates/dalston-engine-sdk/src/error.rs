//! Why a task ended without a result: one sentence for the user, the cause for the log.

use std::error::Error as StdError;
use std::fmt;

type Cause = Box<dyn StdError + Send + Sync>;

/// Why a task could not be done.
///
/// [`Display`](fmt::Display) is one sentence for the user, and goes into `task.failed`; it names no
/// credential, path of this machine or address. The causes are in
/// [`source`](StdError::source), and go into the log.
#[derive(Debug)]
pub struct TaskError {
    kind: ErrorKind,
    message: String,
    source: Option<Cause>,
}

/// Whose fault it was, which is to say: whether another try can help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// The task itself is wrong: bad audio, bad configuration, a missing object. It fails at once.
    Input,
    /// Something the worker needs is away: the store, the queue, memory. The task is put back.
    Unavailable,
    /// The engine is at fault. The task fails, and the pipeline decides on another try.
    Engine,
}

impl TaskError {
    /// The task asks for something that cannot be done; trying again cannot help.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// Something outside is away; the same task may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// The engine failed on a task that it should have done.
    pub fn engine(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Engine, message)
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same error with its cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose fault it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole chain on one line, for the log: `sentence: cause: cause of the cause`. A cause whose words
    /// became the sentence is not repeated.
    pub fn chain(&self) -> String {
        let mut line = self.message.clone();
        let mut cause = self.source();
        while let Some(err) = cause {
            let words = err.to_string();
            if words != self.message {
                line.push_str(": ");
                line.push_str(&words);
            }
            cause = err.source();
        }
        line
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for TaskError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_reads_the_sentence_and_the_log_the_chain() {
        let disk = std::io::Error::other("disk on fire");
        let err = TaskError::unavailable("the audio could not be stored").caused_by(disk);
        assert_eq!(err.to_string(), "the audio could not be stored");
        assert_eq!(err.chain(), "the audio could not be stored: disk on fire");
    }

    #[test]
    fn a_cause_that_is_the_sentence_is_told_once() {
        let err = TaskError::input("no audio").caused_by(TaskError::input("no audio"));
        assert_eq!(err.chain(), "no audio");
    }
}
