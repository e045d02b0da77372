//! The chunks of all recordings in progress: which of them go next, and which recordings are done.
//!
//! A chunk moves `waiting` -> taken by the scheduler -> [`record_outcome`](ChunkQueue::record_outcome), or back to `waiting` through
//! [`put_back`](ChunkQueue::put_back) or [`split`](ChunkQueue::split). A recording moves `open` -> `done` with
//! its last chunk. The scheduler may hold chunks of a recording that the client has given up and that is no
//! longer open: the doc of every method that takes a chunk says what the method does then.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::ops::Range;

use dalston_engine_sdk::audio::Waveform;
use rnnt_decode::{Hypothesis, Token};
use segmenter::{Chunk, ChunkRules, split_chunk};

use super::recognizer::Utterance;
use super::transcript::Error;

/// A chunk that is not searched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PendingChunk {
    /// The number of its recording.
    pub(super) recording: usize,
    /// The chunk's part of the recording.
    pub(super) chunk: Chunk,
}

impl PendingChunk {
    /// Samples that go through the encoder.
    pub(super) fn n_encoded(&self) -> usize {
        self.chunk.encoded.len()
    }

    /// The encoder frames that are searched, counted from the chunk's first frame.
    pub(super) fn frames(&self, stride: NonZeroUsize) -> Range<usize> {
        let chunk = &self.chunk;
        let frame = |sample: usize| (sample - chunk.encoded.start).div_ceil(stride.get());
        frame(chunk.searched.start)..frame(chunk.searched.end)
    }
}

/// Searched samples of a chunk that no earlier chunk searches. Over the chunks of a recording they sum to its
/// length without skipped silence, and `split` keeps that sum.
fn n_new(chunk: &Chunk) -> usize {
    chunk.searched.len() - chunk.overlap
}

/// The recognised tokens of one recording.
#[derive(Debug)]
pub(super) struct RecordingTokens {
    /// The tokens of each chunk, in the order of the chunks. Frames count from the start of the recording.
    pub(super) chunks: Vec<(Chunk, Vec<Token>)>,
    /// Length of the recording in samples.
    pub(super) n_samples: usize,
    /// Defects of the audio that the decoder survived.
    pub(super) warnings: Vec<String>,
}

/// All recordings that are loaded and not yet delivered.
#[derive(Default)]
pub(super) struct ChunkQueue {
    /// Chunks that nobody has taken, sorted by encoded length: chunks of similar length are neighbours.
    waiting: Vec<PendingChunk>,
    open: BTreeMap<usize, Recording>,
    done: VecDeque<(usize, Result<RecordingTokens, Error>)>,
    /// Samples searched, skipped or given up so far, over all recordings ever added.
    n_recognized: usize,
    /// Whether the recording with the fewest chunks left is next, or the oldest.
    is_turn_of_shortest: bool,
}

/// A recording with chunks that are not searched. Its samples are freed with its last chunk.
struct Recording {
    waveform: Waveform,
    /// Chunks waiting or taken.
    n_chunks_left: usize,
    /// Samples searched, skipped, or given up because another chunk failed.
    n_samples_done: usize,
    /// The tokens of the searched chunks, by the first searched sample of the chunk; or the first failure.
    tokens: Result<BTreeMap<usize, (Chunk, Vec<Token>)>, Error>,
}

impl ChunkQueue {
    /// Adds a recording and its planned chunks. Silence that no chunk covers counts as recognised. A recording
    /// without chunks is done at once, with no tokens.
    pub(super) fn add(&mut self, number: usize, waveform: Waveform, chunks: Vec<Chunk>) {
        let n_skipped = waveform.samples.len() - chunks.iter().map(n_new).sum::<usize>();
        self.n_recognized += n_skipped;
        let recording = Recording {
            n_chunks_left: chunks.len(),
            n_samples_done: n_skipped,
            waveform,
            tokens: Ok(BTreeMap::new()),
        };
        if chunks.is_empty() {
            self.done.push_back((number, recording.close()));
            return;
        }
        self.open.insert(number, recording);
        for chunk in chunks {
            self.put_back(PendingChunk {
                recording: number,
                chunk,
            });
        }
    }

    /// Adds a recording that could not be loaded. It is done.
    pub(super) fn fail(&mut self, number: usize, why: Error) {
        self.done.push_back((number, Err(why)));
    }

    /// Number of chunks that nobody has taken.
    pub(super) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Samples in memory: all samples of the open recordings. A waveform is freed as a whole, so searched
    /// samples count here as well.
    pub(super) fn n_held_samples(&self) -> usize {
        self.open.values().map(|it| it.waveform.samples.len()).sum()
    }

    /// Samples of the open recordings that are still to be searched; 0 once every recording is done.
    pub(super) fn n_unsearched_samples(&self) -> usize {
        let n_left = |it: &Recording| it.waveform.samples.len() - it.n_samples_done;
        self.open.values().map(n_left).sum()
    }

    /// Recordings that are not delivered yet.
    pub(super) fn n_open(&self) -> usize {
        self.open.len() + self.done.len()
    }

    /// Samples searched, skipped or given up so far, over all recordings ever added; never falls.
    pub(super) fn n_recognized_samples(&self) -> usize {
        self.n_recognized
    }

    /// The open recordings, each with the share of its samples that is done, from 0 to 1.
    pub(super) fn shares_done(&self) -> Vec<(usize, f64)> {
        let share = |(&number, it): (&usize, &Recording)| {
            let n_samples = it.waveform.samples.len();
            (number, it.n_samples_done as f64 / n_samples as f64)
        };
        self.open.iter().map(share).collect()
    }

    /// Drops a recording and its waiting chunks. It is never done. The scheduler may still hold chunks of it.
    pub(super) fn forget(&mut self, number: usize) {
        self.open.remove(&number);
        self.drop_waiting(number);
    }

    /// Drops the waiting chunks of a recording. Returns their number and their new samples.
    fn drop_waiting(&mut self, number: usize) -> (usize, usize) {
        let waiting = self.waiting.extract_if(.., |it| it.recording == number);
        waiting.fold((0, 0), |(n, n_samples), it| {
            (n + 1, n_samples + n_new(&it.chunk))
        })
    }

    /// Takes up to `size` chunks. Takes fewer if the batch would exceed `max_samples` samples when all chunks
    /// are padded to the longest, but always one. Returns no chunk only if none is waiting.
    ///
    /// One chunk is chosen by its recording; the others are its neighbours in length, of any recording, so that
    /// little is padded. The recording is in turn the oldest one and the one with the fewest chunks left. The
    /// shortest alone would let a stream of short recordings starve a long one; the oldest alone would let a
    /// long recording hold up every short one behind it.
    pub(super) fn take_batch(&mut self, size: usize, max_samples: usize) -> Vec<PendingChunk> {
        let n_left = |number: usize| match self.is_turn_of_shortest {
            true => self.open[&number].n_chunks_left,
            false => 0,
        };
        // The oldest recording has the lowest number, so the number decides ties and the turn of the oldest.
        let rank = |&at: &usize| {
            let PendingChunk { recording, chunk } = &self.waiting[at];
            (n_left(*recording), *recording, chunk.searched.start)
        };
        let Some(first) = (0..self.waiting.len()).min_by_key(rank) else {
            return Vec::new();
        };
        self.is_turn_of_shortest ^= true;
        // `waiting` is sorted by length, so a batch of least padding is a run of neighbours that holds `first`,
        // and its last chunk is its longest. Of the runs of one size, the one with the smallest spread of
        // lengths is taken; smaller sizes are tried only if no run of a larger one fits `max_samples`.
        let length = |at: usize| self.waiting[at].n_encoded();
        let most = size.min(self.waiting.len());
        let best_run = |size: usize| {
            let starts = first.saturating_sub(size - 1)..=first.min(self.waiting.len() - size);
            starts
                .filter(move |start| size * length(start + size - 1) <= max_samples)
                .min_by_key(move |start| length(start + size - 1) - length(*start))
                .map(|start| start..start + size)
        };
        let batch = (1..=most)
            .rev()
            .find_map(best_run)
            .unwrap_or(first..first + 1);
        self.waiting.drain(batch).collect()
    }

    /// The utterance of a taken chunk.
    ///
    /// # Panics
    ///
    /// If the recording of the chunk is not open: see [`drop_forgotten`](Self::drop_forgotten).
    pub(super) fn utterance(&self, chunk: &PendingChunk, stride: NonZeroUsize) -> Utterance<'_> {
        let samples = &self.open[&chunk.recording].waveform.samples;
        Utterance {
            samples: &samples[chunk.chunk.encoded.clone()],
            frames: chunk.frames(stride),
        }
    }

    /// Drops the taken chunks whose recording was forgotten since. A scheduler that encodes a batch a second
    /// time, or puts a batch back, calls this first: the samples of a forgotten recording are gone.
    pub(super) fn drop_forgotten(&mut self, taken: &mut Vec<PendingChunk>) {
        let forgotten = taken.extract_if(.., |it| !self.open.contains_key(&it.recording));
        self.n_recognized += forgotten.map(|it| n_new(&it.chunk)).sum::<usize>();
    }

    /// Puts a taken chunk back into the queue. Its recording is open.
    pub(super) fn put_back(&mut self, chunk: PendingChunk) {
        let n_encoded = chunk.n_encoded();
        let at = self
            .waiting
            .partition_point(|other| other.n_encoded() <= n_encoded);
        self.waiting.insert(at, chunk);
    }

    /// Puts smaller chunks into the queue in place of a taken one. Its recording is open.
    pub(super) fn split(&mut self, taken: &PendingChunk, rules: &ChunkRules) {
        let number = taken.recording;
        let recording = self.open.get_mut(&number);
        let recording = recording.expect("an open recording still has this chunk left");
        let chunks = split_chunk(&recording.waveform.samples, &taken.chunk, rules);
        recording.n_chunks_left += chunks.len() - 1;
        for chunk in chunks {
            self.put_back(PendingChunk {
                recording: number,
                chunk,
            });
        }
    }

    /// Records the outcome of a taken chunk. The first failure drops the waiting chunks of the recording, so
    /// that no time goes into a recording that fails anyway; its other taken chunks still come back here, and
    /// the recording is done with the last of them. The outcome for a forgotten recording is ignored.
    pub(super) fn record_outcome(
        &mut self,
        PendingChunk { recording, chunk }: PendingChunk,
        stride: NonZeroUsize,
        outcome: Result<Hypothesis, parakeet_model::Error>,
    ) {
        let (n_dropped, n_samples_dropped) = match outcome {
            Ok(_) => (0, 0),
            Err(_) => self.drop_waiting(recording),
        };
        let n_samples = n_new(&chunk) + n_samples_dropped;
        self.n_recognized += n_samples;
        let Entry::Occupied(mut entry) = self.open.entry(recording) else {
            return;
        };
        let recording = entry.get_mut();
        match (&mut recording.tokens, outcome) {
            (Ok(all), Ok(Hypothesis { mut tokens })) => {
                // The search counts frames from the chunk's first one.
                for token in &mut tokens {
                    token.frame += chunk.encoded.start / stride.get();
                }
                all.insert(chunk.searched.start, (chunk, tokens));
            }
            (all @ Ok(_), Err(why)) => *all = Err(why.into()),
            (Err(_), _) => {}
        }
        recording.n_chunks_left -= 1 + n_dropped;
        recording.n_samples_done += n_samples;
        if recording.n_chunks_left == 0 {
            let (number, recording) = entry.remove_entry();
            self.done.push_back((number, recording.close()));
        }
    }

    /// Takes the first of the recordings that are done, in the order in which they were finished.
    pub(super) fn next_done(&mut self) -> Option<(usize, Result<RecordingTokens, Error>)> {
        self.done.pop_front()
    }
}

impl Recording {
    /// The tokens of the recording. Frees its samples.
    fn close(self) -> Result<RecordingTokens, Error> {
        let warnings = self.waveform.warnings.iter();
        Ok(RecordingTokens {
            chunks: self.tokens?.into_values().collect(),
            n_samples: self.waveform.samples.len(),
            warnings: warnings.map(ToString::to_string).collect(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
