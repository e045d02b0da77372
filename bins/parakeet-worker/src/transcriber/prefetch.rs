//! Decodes audio files ahead of the network, on threads of its own and in bounded memory.
//!
//! [`SampleBudget`] bounds the memory. A sample counts from its decoding until it is searched, and it counts
//! in one of two parts:
//!
//! | part | raised by | lowered by |
//! |---|---|---|
//! | `decoded`, not yet received | the audio decoder | `receive`, which moves the recording to `held` |
//! | `held`, not yet searched | `receive` | `set_held`, which replaces the value by the chunk queue's state |
//!
//! The chunk queue knows how many samples it holds, so the transcriber states that number before every wait for
//! audio, and reports no single change. A single missing report would stall the audio decoders for good, with no
//! error; a statement is complete, so a late one only delays them.
//!
//! Who wakes whom: `set_held` and the drop of the [`Prefetcher`] wake the audio decoders that wait for room; a
//! decoder that sends a recording, or a request that arrives, wakes the other end through its channel.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::{AudioError, Waveform};

use crate::source::Source;

/// Makes the two ends. While at least `limit` samples and two recordings count, no further recording is decoded.
/// Two, so that one long recording alone does not keep a short one from being decoded. Audio decoders that have
/// already started may exceed the limit by one recording each.
pub(super) fn prefetch(limit: usize) -> (AudioDecoder, Prefetcher) {
    let (requests, requested) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let budget = Arc::new(SampleBudget {
        limit,
        ..SampleBudget::default()
    });
    (
        AudioDecoder {
            requested: Arc::new(Mutex::new(requested)),
            sender,
            budget: Arc::clone(&budget),
        },
        Prefetcher {
            requests,
            receiver,
            n_pending: 0,
            budget,
        },
    )
}

/// A recording that was decoded, or the reason why it was not.
pub(super) struct Loaded {
    pub(super) number: usize,
    pub(super) waveform: Result<Waveform, AudioError>,
    /// Time that the decoding took.
    pub(super) took: Duration,
}

/// The end that decodes. Clones share the requests: each request goes to one of them.
#[derive(Clone)]
pub(super) struct AudioDecoder {
    requested: Arc<Mutex<mpsc::Receiver<(usize, Source)>>>,
    sender: mpsc::Sender<Loaded>,
    budget: Arc<SampleBudget>,
}

impl AudioDecoder {
    /// Decodes requested recordings with `load` until the [`Prefetcher`] is dropped.
    pub(super) fn run(self, load: impl Fn(&Source) -> Result<Waveform, AudioError>) {
        while let Some((number, source)) = self.next() {
            let begun = Instant::now();
            let waveform = load(&source);
            let took = begun.elapsed();
            // Before the recording is sent: samples that nobody has received yet fill the memory as well, and
            // a budget that learns of them on receipt lets every other audio decoder start in between.
            self.budget.add(n_samples(&waveform));
            let loaded = Loaded {
                number,
                waveform,
                took,
            };
            if self.sender.send(loaded).is_err() {
                return;
            }
        }
    }

    /// The next request, once the budget has room for it.
    fn next(&self) -> Option<(usize, Source)> {
        // The lock is held while this clone waits for a request and for room, so the clones start recordings in
        // the order of the requests. The others wait at the lock meanwhile.
        let requested = self
            .requested
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let next = requested.recv().ok()?;
        self.budget.wait_for_room().then_some(next)
    }
}

/// The end that requests and receives recordings. Dropping it ends all audio decoders, also those that wait
/// for room.
pub(super) struct Prefetcher {
    requests: mpsc::Sender<(usize, Source)>,
    receiver: mpsc::Receiver<Loaded>,
    /// Recordings requested and not received.
    n_pending: usize,
    budget: Arc<SampleBudget>,
}

impl Prefetcher {
    /// Requests a recording. Recordings are decoded in the order of the requests.
    pub(super) fn request(&mut self, number: usize, source: Source) {
        self.n_pending += 1;
        self.requests
            .send((number, source))
            .expect("an audio decoder ends after the prefetcher");
    }

    /// Whether a requested recording was not received yet.
    pub(super) fn has_pending(&self) -> bool {
        self.n_pending > 0
    }

    /// The next decoded recording, or `None` if none comes within `timeout`.
    pub(super) fn receive(&mut self, timeout: Duration) -> Option<Loaded> {
        match self.receiver.recv_timeout(timeout) {
            Ok(loaded) => {
                self.n_pending -= 1;
                self.budget.receive(n_samples(&loaded.waveform));
                Some(loaded)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                panic!("an audio decoder ends after the prefetcher")
            }
        }
    }

    /// States what is left of all received recordings: samples not yet searched, and recordings not yet
    /// delivered. Wakes the audio decoders that wait for room.
    pub(super) fn set_held(&self, n_samples: usize, n_recordings: usize) {
        self.budget.set_held(n_samples, n_recordings);
    }
}

impl Drop for Prefetcher {
    fn drop(&mut self) {
        self.budget.close();
    }
}

/// A recording that could not be loaded holds no samples, and counts as a recording all the same.
fn n_samples(waveform: &Result<Waveform, AudioError>) -> usize {
    waveform.as_ref().map_or(0, |it| it.samples.len())
}

/// Lets audio decoders wait until there is room for another recording.
#[derive(Default)]
struct SampleBudget {
    limit: usize,
    state: Mutex<BudgetState>,
    /// Signals that `held` was set or that the budget was closed. Nothing else makes room.
    changed: Condvar,
}

#[derive(Default)]
struct BudgetState {
    decoded: Amount,
    held: Amount,
    is_closed: bool,
}

#[derive(Default)]
struct Amount {
    n_samples: usize,
    n_recordings: usize,
}

impl SampleBudget {
    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, n_samples: usize) {
        let decoded = &mut self.lock().decoded;
        decoded.n_samples += n_samples;
        decoded.n_recordings += 1;
    }

    /// Moves a recording from `decoded` to `held` under one lock. If it left `decoded` now and entered `held`
    /// with the next `set_held`, an audio decoder could take the room in between.
    fn receive(&self, n_samples: usize) {
        let state = &mut *self.lock();
        state.decoded.n_samples -= n_samples;
        state.decoded.n_recordings -= 1;
        state.held.n_samples += n_samples;
        state.held.n_recordings += 1;
    }

    fn set_held(&self, n_samples: usize, n_recordings: usize) {
        self.lock().held = Amount {
            n_samples,
            n_recordings,
        };
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits until there is room; false if the prefetcher is gone.
    fn wait_for_room(&self) -> bool {
        let is_full = |state: &mut BudgetState| {
            let n_samples = state.decoded.n_samples + state.held.n_samples;
            let n_recordings = state.decoded.n_recordings + state.held.n_recordings;
            n_samples >= self.limit && n_recordings >= 2 && !state.is_closed
        };
        let state = self.changed.wait_while(self.lock(), is_full);
        !state.unwrap_or_else(PoisonError::into_inner).is_closed
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use dalston_engine_sdk::audio::AudioLimits;

    use super::*;

    fn budget(limit: usize) -> Arc<SampleBudget> {
        Arc::new(SampleBudget {
            limit,
            ..SampleBudget::default()
        })
    }

    fn load(source: &Source) -> Result<Waveform, AudioError> {
        source.load(&AudioLimits::default())
    }

    #[test]
    fn nothing_is_decoded_while_the_limit_is_reached_by_two_recordings() {
        let budget = budget(10);
        budget.add(20);
        assert!(budget.wait_for_room(), "one recording alone holds none up");
        budget.add(1);
        let waiting = Arc::clone(&budget);
        let waiting = thread::spawn(move || waiting.wait_for_room());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "21 samples wait");
        budget.receive(20);
        budget.set_held(8, 1);
        assert!(waiting.join().expect("it does not panic"));
    }

    #[test]
    fn a_recording_that_is_received_makes_no_room_until_its_samples_are_searched() {
        let budget = budget(10);
        budget.add(20);
        budget.add(1);
        let waiting = Arc::clone(&budget);
        let waiting = thread::spawn(move || waiting.wait_for_room());
        budget.receive(20);
        budget.receive(1);
        budget.set_held(10, 2);
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "10 samples are not searched");
        budget.set_held(9, 2);
        assert!(waiting.join().expect("it does not panic"));
    }

    #[test]
    fn a_recording_that_is_decoded_while_the_state_is_set_counts_all_the_same() {
        let budget = budget(10);
        budget.add(5);
        budget.add(20);
        budget.receive(5);
        // Stated by a transcriber that has received one of the two.
        budget.set_held(0, 1);
        let waiting = Arc::clone(&budget);
        let waiting = thread::spawn(move || waiting.wait_for_room());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished(), "20 samples are on their way");
        budget.receive(20);
        budget.set_held(0, 0);
        assert!(waiting.join().expect("it does not panic"));
    }

    #[test]
    fn a_decoder_that_waits_is_let_go_when_nobody_wants_more() {
        let (decoder, mut prefetcher) = prefetch(1);
        decoder.budget.add(5);
        decoder.budget.add(5);
        prefetcher.request(0, Source::Stdin);
        let decoding = thread::spawn(move || decoder.run(load));
        thread::sleep(Duration::from_millis(50));
        drop(prefetcher);
        decoding
            .join()
            .expect("it ends, and has not read the standard input");
    }

    #[test]
    fn several_decoders_share_what_is_ordered() {
        let (decoder, mut prefetcher) = prefetch(usize::MAX);
        thread::scope(|scope| {
            for _ in 0..3 {
                let decoder = decoder.clone();
                scope.spawn(|| decoder.run(load));
            }
            for number in 0..20 {
                prefetcher.request(number, Source::File("no such file".into()));
            }
            let mut numbers = Vec::new();
            while prefetcher.has_pending() {
                numbers.extend(
                    prefetcher
                        .receive(Duration::from_secs(1))
                        .map(|it| it.number),
                );
            }
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..20), "each is decoded once");
            drop(prefetcher);
        });
    }
}
