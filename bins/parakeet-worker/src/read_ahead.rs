//! Decodes recordings on threads of their own, ahead of the network, in bounded memory.
//!
//! Samples count from their decoding until they are heard. While `limit` of them and two
//! recordings wait, no further one is decoded: one long recording keeps no short one waiting. The last
//! ones may have overrun the limit by their length.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::{AudioError, AudioLimits, Waveform};

use crate::source::Source;

/// Makes the decoding and the receiving end.
pub(crate) fn read_ahead(limit: usize) -> (Decoder, Arrivals) {
    let (orders, ordered) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let gate = Arc::new(Gate {
        limit,
        ..Gate::default()
    });
    (
        Decoder {
            ordered: Arc::new(Mutex::new(ordered)),
            sender,
            gate: Arc::clone(&gate),
        },
        Arrivals {
            orders,
            receiver,
            n_ordered: 0,
            gate,
        },
    )
}

/// A recording that was decoded, or why it was not.
pub(crate) struct Loaded {
    /// Its number.
    pub(crate) file: usize,
    pub(crate) waveform: Result<Waveform, AudioError>,
    pub(crate) took: Duration,
}

/// The end that decodes; a clone decodes beside it.
#[derive(Clone)]
pub(crate) struct Decoder {
    ordered: Arc<Mutex<mpsc::Receiver<(usize, Source)>>>,
    sender: mpsc::Sender<Loaded>,
    gate: Arc<Gate>,
}

impl Decoder {
    /// Decodes what is ordered, until the other end is gone.
    pub(crate) fn run(self, limits: &AudioLimits) {
        while let Some((file, source)) = self.next() {
            let begun = Instant::now();
            let waveform = source.load(limits);
            let took = begun.elapsed();
            self.gate
                .add(waveform.as_ref().map_or(0, |it| it.samples.len()));
            let loaded = Loaded {
                file,
                waveform,
                took,
            };
            if self.sender.send(loaded).is_err() {
                return;
            }
        }
    }

    fn next(&self) -> Option<(usize, Source)> {
        let ordered = self.ordered.lock().unwrap_or_else(PoisonError::into_inner);
        let next = ordered.recv().ok()?;
        self.gate.wait_for_room().then_some(next)
    }
}

/// The end that orders and receives. Dropping it ends the decoding.
pub(crate) struct Arrivals {
    orders: mpsc::Sender<(usize, Source)>,
    receiver: mpsc::Receiver<Loaded>,
    n_ordered: usize,
    gate: Arc<Gate>,
}

impl Arrivals {
    /// Has a recording decoded after those ordered before.
    pub(crate) fn order(&mut self, file: usize, source: Source) {
        self.n_ordered += 1;
        self.orders
            .send((file, source))
            .expect("a decoder ends after this end");
    }

    /// Whether recordings are ordered that did not arrive yet.
    pub(crate) fn are_expected(&self) -> bool {
        self.n_ordered > 0
    }

    /// The next recording, if one comes within `patience`.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<Loaded> {
        match self.receiver.recv_timeout(patience) {
            Ok(loaded) => {
                self.n_ordered -= 1;
                Some(loaded)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("a decoder ends after this end"),
        }
    }

    /// Says that samples go to the network and wait no longer.
    pub(crate) fn release(&self, n_samples: usize) {
        self.gate.lock().n_samples -= n_samples;
        self.gate.changed.notify_all();
    }

    /// Says that a recording that arrived is done with.
    pub(crate) fn close(&self) {
        self.gate.lock().n_recordings -= 1;
        self.gate.changed.notify_all();
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.gate.lock().abandoned = true;
        self.gate.changed.notify_all();
    }
}

#[derive(Default)]
struct Gate {
    limit: usize,
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    n_samples: usize,
    n_recordings: usize,
    abandoned: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, n_samples: usize) {
        let mut state = self.lock();
        state.n_samples += n_samples;
        state.n_recordings += 1;
    }

    /// Waits until there is room; false if nobody wants more.
    fn wait_for_room(&self) -> bool {
        let full = |state: &mut GateState| {
            state.n_samples >= self.limit && state.n_recordings >= 2 && !state.abandoned
        };
        let state = self.changed.wait_while(self.lock(), full);
        !state.unwrap_or_else(PoisonError::into_inner).abandoned
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_is_decoded_while_the_limit_is_reached_by_two_recordings() {
        let gate = Arc::new(Gate {
            limit: 10,
            ..Gate::default()
        });
        gate.add(20);
        assert!(gate.wait_for_room(), "one recording alone holds none up");
        gate.add(1);
        let waiting = Arc::clone(&gate);
        let waiting = thread::spawn(move || waiting.wait_for_room());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "21 samples wait");
        gate.lock().n_samples -= 12;
        gate.changed.notify_all();
        assert!(waiting.join().expect("it does not panic"));
    }

    #[test]
    fn a_decoder_that_waits_is_let_go_when_nobody_wants_more() {
        let (decoder, mut arrivals) = read_ahead(1);
        decoder.gate.add(5);
        decoder.gate.add(5);
        arrivals.order(0, Source::Stdin);
        let decoding = thread::spawn(move || decoder.run(&AudioLimits::default()));
        thread::sleep(Duration::from_millis(50));
        drop(arrivals);
        decoding
            .join()
            .expect("it ends, and has not read the standard input");
    }

    #[test]
    fn several_decoders_share_what_is_ordered() {
        let (decoder, mut arrivals) = read_ahead(usize::MAX);
        let limits = AudioLimits::default();
        thread::scope(|scope| {
            for _ in 0..3 {
                let decoder = decoder.clone();
                scope.spawn(|| decoder.run(&limits));
            }
            for file in 0..20 {
                arrivals.order(file, Source::File("no such file".into()));
            }
            let mut files = Vec::new();
            while arrivals.are_expected() {
                files.extend(arrivals.next(Duration::from_secs(1)).map(|it| it.file));
            }
            files.sort_unstable();
            assert!(files.into_iter().eq(0..20), "each is decoded once");
            drop(arrivals);
        });
    }
}
