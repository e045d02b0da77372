//! Encodes utterances: at once on a CPU, on a GPU from a thread that does nothing else.
//!
//! A GPU holds a thousand calls that wait, fewer than one pass through the encoder makes, and stops whoever
//! makes more. So the search of one batch and the calls that encode the next come from different threads,
//! and no pass is queued before the one ahead of it is through. It is one thread for as long as the model is
//! loaded, since cuDNN's plans, a tenth of a second each, are kept by thread.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tch::Tensor;

use crate::libtorch::streams::StreamEvent;
use crate::network::{Audio, Network};
use crate::{Error, ParakeetModel, Utterances};

/// Utterances that are being encoded; see [`ParakeetModel::begin_encoding`].
pub struct PendingEncoding<'model> {
    pub(crate) model: &'model ParakeetModel,
    pub(crate) pending: Pending,
}

impl<'model> PendingEncoding<'model> {
    /// Waits until all are encoded; what became of them, and how long the encoder took.
    ///
    /// # Errors
    ///
    /// In the first place of the answer: those of [`ParakeetModel::encode`].
    ///
    /// # Panics
    ///
    /// If the encoder did.
    pub fn wait(self) -> (Result<Utterances<'model>, Error>, Duration) {
        let (encoded, took) = self.pending.wait();
        (encoded.map(|it| self.model.utterances(it)), took)
    }

    /// Has no more of them encoded, and waits until what they hold of the memory is free.
    pub fn cancel(self) {
        self.pending.cancel();
    }
}

/// What is to come of an order, or has.
pub(crate) enum Pending {
    Encoded(Answer),
    Ordered {
        answer: Receiver<Answer>,
        is_wanted: Arc<AtomicBool>,
    },
}

impl Pending {
    fn wait(self) -> Answer {
        match self {
            Self::Encoded(answer) => answer,
            Self::Ordered { answer, .. } => answer.recv().expect("every order is answered"),
        }
    }

    pub(crate) fn cancel(self) {
        if let Self::Ordered { answer, is_wanted } = self {
            is_wanted.store(false, Ordering::Relaxed);
            // What it says is of no interest, and none comes if the encoder is gone.
            let _ = answer.recv();
        }
    }
}

/// What became of an order, and how long the encoder took.
pub(crate) type Answer = (Result<Encoded, Error>, Duration);

/// What came out of the encoder, on the network's device.
pub(crate) struct Encoded {
    /// The joint's projection of the encoder's output, (N, T', J), or CTC's emissions, (N, T', 3).
    pub(crate) frames: Tensor,
    /// Valid encoder frames of each utterance.
    pub(crate) n_frames: Vec<usize>,
    /// On a GPU: when they are there.
    pub(crate) ready: Option<StreamEvent>,
}

/// Encodes what is brought, pass by pass, and makes one batch of it.
pub(crate) fn encode(
    network: &Network,
    passes: impl Iterator<Item = Result<Audio, Error>>,
) -> Result<Encoded, Error> {
    let passes = passes.map(|audio| {
        let encoded = network.encode(audio?)?;
        network.wait()?;
        Ok(encoded)
    });
    let (frames, n_frames) = Network::join(passes.collect::<Result<_, _>>()?)?;
    Ok(Encoded {
        frames,
        n_frames,
        ready: network.mark()?,
    })
}

/// Parts utterances into runs of at most `limit` samples when all are padded to the longest, which is
/// `at_least` so long, or of one.
pub(crate) fn passes<'a, 'b>(
    mut rest: &'a [&'b [f32]],
    at_least: usize,
    limit: usize,
) -> impl Iterator<Item = &'a [&'b [f32]]> {
    iter::from_fn(move || {
        let mut longest = at_least;
        let fits = |(n, samples): (usize, &&[f32])| {
            longest = longest.max(samples.len());
            n == 0 || longest.saturating_mul(n + 1) <= limit
        };
        let n = rest
            .iter()
            .enumerate()
            .map(fits)
            .take_while(|fits| *fits)
            .count();
        let (pass, later) = rest.split_at(n);
        rest = later;
        (n > 0).then_some(pass)
    })
}

/// The thread of a GPU's encoder. It ends when this is dropped.
pub(crate) struct EncoderThread {
    orders: Option<Sender<EncodeJob>>,
    handle: Option<JoinHandle<()>>,
}

struct EncodeJob {
    passes: Receiver<Audio>,
    is_wanted: Arc<AtomicBool>,
    answer: Sender<Answer>,
}

impl EncoderThread {
    /// `encode` makes one batch of the passes that it is given.
    pub(crate) fn start(
        mut encode: impl FnMut(&mut dyn Iterator<Item = Audio>) -> Result<Encoded, Error>
        + Send
        + 'static,
    ) -> Self {
        let (orders, todo) = channel::<EncodeJob>();
        let work = move || {
            for order in todo {
                // Until the first pass is here, nothing is done for this order.
                let Ok(first) = order.passes.recv() else {
                    continue;
                };
                let begun = Instant::now();
                let passes = iter::once(first).chain(order.passes);
                let mut wanted = passes.take_while(|_| order.is_wanted.load(Ordering::Relaxed));
                let encoded = encode(&mut wanted);
                // What is left of them goes before the answer, which says that their memory is free.
                drop(wanted);
                // Nobody may want it any more.
                let _ = order.answer.send((encoded, begun.elapsed()));
            }
        };
        let thread = thread::Builder::new().name("encoder".to_owned());
        Self {
            orders: Some(orders),
            handle: Some(thread.spawn(work).expect("a thread can be started")),
        }
    }

    /// Has the passes encoded that are sent to the first of the answer; the second is what becomes of them
    /// once the first is dropped.
    pub(crate) fn order(&self) -> (Sender<Audio>, Pending) {
        let ((parts, passes), (here, answer)) = (channel(), channel());
        let is_wanted = Arc::new(AtomicBool::new(true));
        let orders = self.orders.as_ref().expect("it was not dropped");
        let order = EncodeJob {
            passes,
            is_wanted: Arc::clone(&is_wanted),
            answer: here,
        };
        orders.send(order).expect("the thread ends after this");
        (parts, Pending::Ordered { answer, is_wanted })
    }
}

impl Drop for EncoderThread {
    fn drop(&mut self) {
        drop(self.orders.take());
        // Whoever unloads a model wants its memory back now.
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// A pass of so many samples.
    fn audio(n_samples: i64) -> Audio {
        Audio {
            samples: Tensor::zeros([1, n_samples], (Kind::Float, Device::Cpu)),
            n_samples: vec![n_samples],
            arrived: None,
        }
    }

    /// Encodes each pass to as many frames as it has samples; one of 13 fails.
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
        let orders = [vec![1, 2, 3], vec![4], vec![5, 6]].map(|passes| {
            let (parts, pending) = encoder.order();
            for &n_samples in &passes {
                parts.send(audio(n_samples)).expect("it takes all");
            }
            (passes, pending)
        });
        for (passes, pending) in orders {
            let n_frames = pending.wait().0.expect("none fails").n_frames;
            assert!(n_frames.iter().map(|&n| n as i64).eq(passes));
        }
    }

    #[test]
    fn a_pass_that_fails_fails_its_order_and_no_other() {
        let encoder = encoder();
        let (parts, failing) = encoder.order();
        // Whether it still takes what comes behind the one that fails is a matter of time.
        for n_samples in [1, 13, 2, 3] {
            if parts.send(audio(n_samples)).is_err() {
                break;
            }
        }
        drop(parts);
        assert!(matches!(failing.wait().0, Err(Error::EmptyBatch)));
        let (parts, fine) = encoder.order();
        parts.send(audio(7)).expect("it takes all");
        drop(parts);
        assert_eq!(fine.wait().0.expect("it does not fail").n_frames, [7]);
    }

    #[test]
    fn an_order_that_is_cancelled_or_left_is_in_nobodys_way() {
        let encoder = encoder();
        let (parts, cancelled) = encoder.order();
        parts.send(audio(1)).expect("it takes all");
        drop(parts);
        cancelled.cancel();
        // One without a pass, whose upload failed; one that nobody waits for.
        let (parts, left) = encoder.order();
        drop((parts, left));
        let (parts, left) = encoder.order();
        parts.send(audio(2)).expect("it takes all");
        drop((parts, left));
        let (parts, fine) = encoder.order();
        parts.send(audio(3)).expect("it takes all");
        drop(parts);
        assert_eq!(fine.wait().0.expect("it does not fail").n_frames, [3]);
        drop(encoder);
    }

    fn lengths(utterances: &[&[f32]], limit: usize) -> Vec<Vec<usize>> {
        passes(utterances, 2, limit)
            .map(|pass| pass.iter().map(|it| it.len()).collect())
            .collect()
    }

    #[test]
    fn a_pass_holds_what_fits_and_one_utterance_at_least() {
        let silence = [0.0; 10];
        let utterances = [2, 3, 3, 10, 1, 0].map(|n| &silence[..n]);
        assert_eq!(lengths(&utterances, usize::MAX), [[2, 3, 3, 10, 1, 0]]);
        assert_eq!(
            lengths(&utterances, 9),
            [vec![2, 3, 3], vec![10], vec![1, 0]],
            "padding counts"
        );
        assert_eq!(lengths(&utterances, 3), [[2], [3], [3], [10], [1], [0]]);
        assert_eq!(lengths(&utterances, 0), [[2], [3], [3], [10], [1], [0]]);
    }
}
