//! The outcome of encoding a batch: on a CPU it is there at once, on a GPU the encoder's thread sends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::Encoded;
use crate::error::Error;

/// The result of encoding a batch, and how long the encoder took.
pub(crate) type Outcome = (Result<Encoded, Error>, Duration);

/// The outcome of a batch, now or later.
pub(crate) enum Pending {
    /// On a CPU: the batch is encoded.
    Done(Outcome),
    /// On a GPU: the encoder's thread sends the outcome.
    Submitted {
        outcome: Receiver<Outcome>,
        is_wanted: Arc<AtomicBool>,
    },
}

impl Pending {
    /// Waits for the outcome.
    ///
    /// # Panics
    ///
    /// If the encoder's thread panicked, or the job's sender was dropped before a pass was sent.
    pub(crate) fn wait(self) -> Outcome {
        match self {
            Self::Done(outcome) => outcome,
            Self::Submitted { outcome, .. } => outcome.recv().expect("every job has an outcome"),
        }
    }

    /// Stops the batch after the pass that is being encoded, and waits until the batch's memory is free.
    pub(crate) fn cancel(self) {
        if let Self::Submitted { outcome, is_wanted } = self {
            // Relaxed is enough: the flag orders nothing else, and a pass more or less does not matter.
            is_wanted.store(false, Ordering::Relaxed);
            // Whatever the outcome is, it is dropped here. There is none if no pass was sent or the thread
            // has panicked; `recv` returns then, because the thread has dropped its sender.
            let _ = outcome.recv();
        }
    }
}
