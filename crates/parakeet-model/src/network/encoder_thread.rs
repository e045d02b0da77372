//! The thread that encodes on a GPU, so that the search of one batch and the encoding of the next overlap.
//!
//! A GPU's queue holds about a thousand calls, fewer than one pass through the encoder makes. A thread that
//! queues more of them is stopped until the GPU has caught up. If the thread of the search queued the next
//! batch's encoding, it would be stopped in the middle and could not search. The encoder therefore has a
//! thread of its own, and that thread queues a pass only when the pass before is through, which leaves room
//! in the queue for the calls of the search.
//!
//! There is one such thread for as long as the model is loaded, because cuDNN keeps its plans by thread and
//! makes each in a tenth of a second.
//!
//! Who wakes whom: the caller submits an [`EncodeJob`] and then sends its passes, whose uploads are queued
//! already. The encoder's thread sleeps until a job comes, and within the job until a pass comes. When
//! the caller has dropped the sender of the passes, the thread sends the job's [`Outcome`], which wakes the
//! caller in [`Pending::wait`].

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::pending::{Outcome, Pending};
use super::{Audio, Encoded};
use crate::error::Error;

/// The encoder's thread. Dropping this ends the thread after the jobs that were submitted.
pub(crate) struct EncoderThread {
    /// `None` only while this is dropped.
    jobs: Option<Sender<EncodeJob>>,
    handle: Option<JoinHandle<()>>,
}

/// A batch to encode.
struct EncodeJob {
    /// Passes come while the thread encodes the ones before; the end of the channel ends the batch.
    passes: Receiver<Audio>,
    /// False once the caller has cancelled the job.
    is_wanted: Arc<AtomicBool>,
    outcome: Sender<Outcome>,
}

impl EncoderThread {
    /// Starts the thread; `encode` makes one batch of the passes of a job.
    pub(crate) fn start(
        mut encode: impl FnMut(&mut dyn Iterator<Item = Audio>) -> Result<Encoded, Error>
        + Send
        + 'static,
    ) -> Self {
        let (jobs, submitted) = channel::<EncodeJob>();
        let work = move || {
            for job in submitted {
                // The clock starts with the first pass: until then the upload is under way, not the encoder.
                // A job whose sender is dropped without a pass, because its upload failed, has no outcome.
                let Ok(first) = job.passes.recv() else {
                    continue;
                };
                let begun = Instant::now();
                let passes = iter::once(first).chain(job.passes);
                let mut wanted = passes.take_while(|_| job.is_wanted.load(Ordering::Relaxed));
                let encoded = encode(&mut wanted);
                // Dropped before the outcome is sent, because the outcome says that the memory of the passes
                // that are left is free.
                drop(wanted);
                // Sending fails if the caller has dropped its `Pending`; then no caller waits for the outcome.
                let _ = job.outcome.send((encoded, begun.elapsed()));
            }
        };
        let thread = thread::Builder::new().name("encoder".to_owned());
        Self {
            jobs: Some(jobs),
            handle: Some(thread.spawn(work).expect("a thread can be started")),
        }
    }

    /// Submits a batch. Returns a sender for the batch's passes, and the batch's outcome.
    ///
    /// The thread begins when the first pass is sent, and the outcome comes when the sender is dropped.
    /// Sending fails once a pass has failed or the batch is cancelled; the outcome holds the error.
    ///
    /// # Panics
    ///
    /// If the encoder's thread panicked.
    pub(crate) fn submit(&self) -> (Sender<Audio>, Pending) {
        let (pass_sender, passes) = channel();
        let (outcome_sender, outcome) = channel();
        let is_wanted = Arc::new(AtomicBool::new(true));
        let job = EncodeJob {
            passes,
            is_wanted: Arc::clone(&is_wanted),
            outcome: outcome_sender,
        };
        let jobs = self.jobs.as_ref().expect("only `drop` takes the sender");
        jobs.send(job)
            .expect("the thread runs until the sender is dropped");
        (pass_sender, Pending::Submitted { outcome, is_wanted })
    }
}

impl Drop for EncoderThread {
    fn drop(&mut self) {
        // First the channel, whose end lets the thread return; then the wait. The thread holds the network, and
        // the caller that unloads a model needs the network's memory at once.
        drop(self.jobs.take());
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    /// A pass of so many samples.
    fn audio(n_samples: i64) -> Audio {
        Audio {
            samples: Tensor::zeros([1, n_samples], (Kind::Float, Device::Cpu)),
            n_samples: vec![n_samples],
            arrived: None,
        }
    }

    /// Encodes each pass to as many frames as it has samples; a pass of 13 samples fails.
    fn encoder() -> EncoderThread {
        EncoderThread::start(|passes| {
            let mut n_frames = Vec::new();
            for audio in passes {
                if audio.n_samples == [13] {
                    return Err(Error::EmptyBatch);
                }
                n_frames.push(audio.n_samples[0] as usize);
            }
            Ok(Encoded {
                frames: Tensor::new(),
                n_frames,
                ready: None,
            })
        })
    }

    #[test]
    fn orders_are_answered_each_with_its_own_passes() {
        let encoder = encoder();
        let jobs = [vec![1, 2, 3], vec![4], vec![5, 6]].map(|passes| {
            let (sender, pending) = encoder.submit();
            for &n_samples in &passes {
                sender.send(audio(n_samples)).expect("it takes all");
            }
            (passes, pending)
        });
        for (passes, pending) in jobs {
            let n_frames = pending.wait().0.expect("none fails").n_frames;
            assert!(n_frames.iter().map(|&n| n as i64).eq(passes));
        }
    }

    #[test]
    fn a_pass_that_fails_fails_its_order_and_no_other() {
        let encoder = encoder();
        let (sender, failing) = encoder.submit();
        // Whether the thread still takes the passes behind the failing one depends on timing.
        for n_samples in [1, 13, 2, 3] {
            if sender.send(audio(n_samples)).is_err() {
                break;
            }
        }
        drop(sender);
        assert!(matches!(failing.wait().0, Err(Error::EmptyBatch)));
        let (sender, fine) = encoder.submit();
        sender.send(audio(7)).expect("it takes all");
        drop(sender);
        assert_eq!(fine.wait().0.expect("it does not fail").n_frames, [7]);
    }

    #[test]
    fn an_order_that_is_cancelled_or_left_is_in_nobodys_way() {
        let encoder = encoder();
        let (sender, cancelled) = encoder.submit();
        sender.send(audio(1)).expect("it takes all");
        drop(sender);
        cancelled.cancel();
        // A job without a pass, as if its upload had failed; then a job whose outcome nobody waits for.
        let (sender, left) = encoder.submit();
        drop((sender, left));
        let (sender, left) = encoder.submit();
        sender.send(audio(2)).expect("it takes all");
        drop((sender, left));
        let (sender, fine) = encoder.submit();
        sender.send(audio(3)).expect("it takes all");
        drop(sender);
        assert_eq!(fine.wait().0.expect("it does not fail").n_frames, [3]);
        drop(encoder);
    }
}
