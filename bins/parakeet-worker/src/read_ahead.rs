//! Decodes recordings on a thread of its own, ahead of the network, in bounded memory.
//!
//! Samples count from their decoding until they are taken to the network. While `limit` of them
//! wait, no further recording is decoded; the last one may have overrun the limit by its length.

use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::{AudioError, AudioLimits, Waveform};

use crate::source::Source;

/// Makes the decoding and the receiving end.
pub(crate) fn read_ahead(limit: usize) -> (Decoder, Arrivals) {
    let (sender, receiver) = mpsc::channel();
    let gate = Arc::new(Gate {
        limit,
        ..Gate::default()
    });
    (
        Decoder {
            sender,
            gate: Arc::clone(&gate),
        },
        Arrivals { receiver, gate },
    )
}

/// A recording that was decoded, or why it was not.
pub(crate) struct Loaded {
    /// Its place in the order given.
    pub(crate) file: usize,
    pub(crate) waveform: Result<Waveform, AudioError>,
    pub(crate) took: Duration,
}

/// The end that decodes.
pub(crate) struct Decoder {
    sender: mpsc::Sender<Loaded>,
    gate: Arc<Gate>,
}

impl Decoder {
    /// Decodes every source in order, until done or until the other end is gone.
    pub(crate) fn load_all(self, sources: &[Source], limits: &AudioLimits) {
        for (file, source) in sources.iter().enumerate() {
            if !self.gate.wait_for_room() {
                return;
            }
            let begun = Instant::now();
            let waveform = source.load(limits);
            let took = begun.elapsed();
            self.gate.lock().n_waiting += waveform.as_ref().map_or(0, |it| it.samples.len());
            if self
                .sender
                .send(Loaded {
                    file,
                    waveform,
                    took,
                })
                .is_err()
            {
                return;
            }
        }
    }
}

/// The end that receives. Dropping it ends the decoding.
pub(crate) struct Arrivals {
    receiver: mpsc::Receiver<Loaded>,
    gate: Arc<Gate>,
}

impl Arrivals {
    /// The next recording, if it is there or if `wait` and one comes.
    pub(crate) fn next(&self, wait: bool) -> Option<Loaded> {
        if wait {
            self.receiver.recv().ok()
        } else {
            self.receiver.try_recv().ok()
        }
    }

    /// Says that samples go to the network and wait no longer.
    pub(crate) fn release(&self, n_samples: usize) {
        self.gate.lock().n_waiting -= n_samples;
        self.gate.changed.notify_one();
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.gate.lock().abandoned = true;
        self.gate.changed.notify_one();
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
    n_waiting: usize,
    abandoned: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until fewer samples than the limit wait; false if nobody wants more.
    fn wait_for_room(&self) -> bool {
        let full = |state: &mut GateState| state.n_waiting >= self.limit && !state.abandoned;
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
    fn nothing_is_decoded_while_the_limit_is_reached() {
        let gate = Arc::new(Gate {
            limit: 10,
            ..Gate::default()
        });
        gate.lock().n_waiting = 10;
        let waiting = Arc::clone(&gate);
        let waiting = thread::spawn(move || waiting.wait_for_room());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "ten samples wait");
        let (_, receiver) = mpsc::channel();
        let arrivals = Arrivals { receiver, gate };
        arrivals.release(1);
        assert!(waiting.join().expect("it does not panic"));
    }

    #[test]
    fn a_decoder_that_waits_is_let_go_when_nobody_wants_more() {
        let (decoder, arrivals) = read_ahead(1);
        decoder.gate.lock().n_waiting = 5;
        let decoding =
            thread::spawn(move || decoder.load_all(&[Source::Stdin], &AudioLimits::default()));
        drop(arrivals);
        decoding
            .join()
            .expect("it ends, and has not read the standard input");
    }
}
