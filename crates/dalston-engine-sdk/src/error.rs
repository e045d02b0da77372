//! Why a task ended without a result: one sentence for the user, the cause for the log.

use std::error::Error as StdError;
use std::fmt;

type Cause = Box<dyn StdError + Send + Sync>;

/// Why a task ended without a result.
///
/// [`Display`](fmt::Display) is one sentence for the user and goes into `task.failed`; it must name no
/// credential, no path of this machine and no address. The causes are in [`source`](StdError::source) and
/// go into the log.
#[derive(Debug)]
pub struct TaskError {
    kind: ErrorKind,
    message: String,
    source: Option<Cause>,
}

/// Who is at fault, and so whether another try can help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// The task itself is wrong: bad audio, bad configuration, a missing object. It fails at once.
    Input,
    /// Something that the worker needs is unavailable: the store or the queue. The task is put back.
    Unavailable,
    /// The disk of this machine is full, read-only or gone. The task is put back, because another worker's
    /// disk may have room.
    Disk,
    /// The engine is at fault. The task fails, and the pipeline decides on another try.
    Engine,
}

impl TaskError {
    /// An error of a task that asks for something impossible; another try cannot help.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// An error of something outside that is unavailable; the same task may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// An error of this machine's disk; the same task may succeed later or elsewhere.
    pub fn disk(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Disk, message)
    }

    /// An error of the engine on a task that it should have completed.
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

    /// Adds the cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Who is at fault.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The whole chain on one line, for the log: `sentence: cause: cause of the cause`. A cause with the same
    /// text as the sentence is left out.
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
