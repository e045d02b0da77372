//! Recordings on their way through the network: which chunks wait, which are heard, which
//! recordings are complete.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use dalston_engine_sdk::audio::Waveform;
use rnnt_decode::{Hypothesis, Token};
use segmenter::{Chunk, ChunkRules, split_chunk};

use crate::engine::Error;
use crate::hearing::Utterance;

/// A chunk of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkOf {
    /// The recording's place in the order given.
    pub(crate) file: usize,
    /// Its part of the recording.
    pub(crate) chunk: Chunk,
}

impl ChunkOf {
    /// Samples that go through the network.
    pub(crate) fn n_encoded(&self) -> usize {
        self.chunk.encoded.len()
    }

    /// Samples that this chunk hears and none before it.
    pub(crate) fn n_new(&self) -> usize {
        self.chunk.heard.len() - self.chunk.overlap
    }
}

/// What was heard in a recording.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The tokens of each chunk, in the order of the chunks; frames count from the recording's start.
    pub(crate) chunks: Vec<(Chunk, Vec<Token>)>,
    /// Length of the recording in samples.
    pub(crate) n_samples: usize,
    pub(crate) warnings: Vec<String>,
}

/// All recordings that are loaded and not yet handed out.
#[derive(Default)]
pub(crate) struct Recordings {
    /// Chunks not yet heard, sorted by length.
    waiting: Vec<ChunkOf>,
    open: BTreeMap<usize, Recording>,
    done: BTreeMap<usize, Result<Heard, Error>>,
    n_handed_out: usize,
}

/// A recording with chunks not yet heard. Its samples are dropped with the last one.
struct Recording {
    waveform: Waveform,
    n_missing: usize,
    /// By the first sample that is heard. One chunk that failed is enough.
    heard: Result<BTreeMap<usize, (Chunk, Vec<Token>)>, Error>,
}

impl Recordings {
    /// Takes in a recording. One without chunks is done: it holds nothing to hear.
    pub(crate) fn open(&mut self, file: usize, waveform: Waveform, chunks: Vec<Chunk>) {
        let recording = Recording {
            waveform,
            n_missing: chunks.len(),
            heard: Ok(BTreeMap::new()),
        };
        if chunks.is_empty() {
            self.done.insert(file, recording.close());
            return;
        }
        self.open.insert(file, recording);
        for chunk in chunks {
            self.put_back(ChunkOf { file, chunk });
        }
    }

    /// Takes in a recording that could not be loaded.
    pub(crate) fn fail(&mut self, file: usize, why: Error) {
        self.done.insert(file, Err(why));
    }

    /// Number of chunks that wait.
    pub(crate) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes up to `size` chunks, or fewer if they would be more than `max_samples` samples when all
    /// are padded to the longest: the first chunk of the first recording that waits, so that results
    /// come in order soon, and with it those nearest to it in length, so that little is padded.
    /// Empty only if no chunk waits.
    pub(crate) fn take_batch(&mut self, size: usize, max_samples: usize) -> Vec<ChunkOf> {
        let in_order = |&at: &usize| (self.waiting[at].file, self.waiting[at].chunk.heard.start);
        let Some(first) = (0..self.waiting.len()).min_by_key(in_order) else {
            return Vec::new();
        };
        let length = |at: usize| self.waiting[at].n_encoded();
        let most = size.min(self.waiting.len());
        let batches = |size: usize| {
            let starts = first.saturating_sub(size - 1)..=first.min(self.waiting.len() - size);
            starts
                .filter(move |start| size * length(start + size - 1) <= max_samples)
                .min_by_key(move |start| length(start + size - 1) - length(*start))
                .map(|start| start..start + size)
        };
        let batch = (1..=most)
            .rev()
            .find_map(batches)
            .unwrap_or(first..first + 1);
        self.waiting.drain(batch).collect()
    }

    /// What of a chunk, taken and not yet put back, is encoded and searched.
    pub(crate) fn utterance(
        &self,
        ChunkOf { file, chunk }: &ChunkOf,
        stride: usize,
    ) -> Utterance<'_> {
        let frame = |sample: usize| (sample - chunk.encoded.start).div_ceil(stride);
        Utterance {
            samples: &self.open[file].waveform.samples[chunk.encoded.clone()],
            frames: frame(chunk.heard.start)..frame(chunk.heard.end),
        }
    }

    /// Puts back a chunk that was taken and not heard.
    pub(crate) fn put_back(&mut self, chunk: ChunkOf) {
        let n_encoded = chunk.n_encoded();
        let at = self
            .waiting
            .partition_point(|other| other.n_encoded() <= n_encoded);
        self.waiting.insert(at, chunk);
    }

    /// Puts back smaller chunks in the place of one that was taken.
    pub(crate) fn split(&mut self, ChunkOf { file, chunk }: &ChunkOf, rules: &ChunkRules) {
        let recording = self.open.get_mut(file).expect("it misses a chunk");
        let chunks = split_chunk(&recording.waveform.samples, chunk, rules);
        recording.n_missing += chunks.len() - 1;
        for chunk in chunks {
            self.put_back(ChunkOf { file: *file, chunk });
        }
    }

    /// Puts back what was heard in a chunk that was taken.
    pub(crate) fn put(
        &mut self,
        ChunkOf { file, chunk }: ChunkOf,
        stride: usize,
        heard: Result<Hypothesis, parakeet_model::Error>,
    ) {
        let mut entry = match self.open.entry(file) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(_) => unreachable!("a recording is open while a chunk of it is missing"),
        };
        let recording = entry.get_mut();
        match (&mut recording.heard, heard) {
            (Ok(all), Ok(Hypothesis { mut tokens })) => {
                for token in &mut tokens {
                    token.frame += chunk.encoded.start / stride;
                }
                all.insert(chunk.heard.start, (chunk, tokens));
            }
            (all @ Ok(_), Err(why)) => *all = Err(why.into()),
            (Err(_), _) => {}
        }
        recording.n_missing -= 1;
        if recording.n_missing == 0 {
            self.done.insert(file, entry.remove().close());
        }
    }

    /// Hands out the next recording in the order given, if it is done.
    pub(crate) fn next_done(&mut self) -> Option<(usize, Result<Heard, Error>)> {
        let file = self.n_handed_out;
        let heard = self.done.remove(&file)?;
        self.n_handed_out += 1;
        Some((file, heard))
    }
}

impl Recording {
    /// What was heard; the samples go.
    fn close(self) -> Result<Heard, Error> {
        Ok(Heard {
            chunks: self.heard?.into_values().collect(),
            n_samples: self.waveform.samples.len(),
            warnings: self
                .waveform
                .warnings
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use dalston_engine_sdk::audio::{AudioError, AudioFormat};

    use super::*;

    /// Recordings of one chunk per length.
    fn recordings_of(chunks: &[&[usize]]) -> Recordings {
        let mut recordings = Recordings::default();
        for (file, lengths) in chunks.iter().enumerate() {
            let waveform = Waveform {
                samples: vec![0.0; lengths.iter().sum()],
                source: AudioFormat {
                    container: "wave".to_owned(),
                    codec: "pcm_s16le".to_owned(),
                    sample_rate_hz: 16_000,
                    n_channels: 1,
                },
                warnings: Vec::new(),
            };
            let mut start = 0;
            let chunk_of = |&length: &usize| {
                let samples = start..start + length;
                start += length;
                Chunk {
                    encoded: samples.clone(),
                    heard: samples,
                    overlap: 0,
                }
            };
            recordings.open(file, waveform, lengths.iter().map(chunk_of).collect());
        }
        recordings
    }

    fn files(batch: &[ChunkOf]) -> Vec<usize> {
        batch.iter().map(|chunk| chunk.file).collect()
    }

    fn put_all(recordings: &mut Recordings, batch: Vec<ChunkOf>) {
        for chunk in batch {
            recordings.put(chunk, 1, Ok(Hypothesis::default()));
        }
    }

    fn files_done(recordings: &mut Recordings) -> Vec<usize> {
        std::iter::from_fn(|| recordings.next_done())
            .map(|(file, _)| file)
            .collect()
    }

    #[test]
    fn a_batch_holds_the_first_recording_and_its_nearest_in_length() {
        let mut recordings = recordings_of(&[&[50], &[10], &[100], &[49], &[11], &[53]]);
        assert_eq!(files(&recordings.take_batch(3, usize::MAX)), [3, 0, 5]);
        assert_eq!(files(&recordings.take_batch(3, usize::MAX)), [1, 4, 2]);
        assert!(recordings.take_batch(3, usize::MAX).is_empty());
    }

    #[test]
    fn a_batch_holds_no_more_samples_than_allowed_but_always_the_first_chunk() {
        let mut recordings = recordings_of(&[&[50], &[40], &[45], &[10]]);
        assert_eq!(files(&recordings.take_batch(4, 100)), [2, 0]);
        assert_eq!(files(&recordings.take_batch(4, 30)), [1]);
        assert_eq!(files(&recordings.take_batch(4, 30)), [3]);
    }

    #[test]
    fn a_recording_without_chunks_is_done() {
        let mut recordings = recordings_of(&[&[], &[5]]);
        assert_eq!(files_done(&mut recordings), [0]);
    }

    #[test]
    fn every_chunk_is_taken_once_and_only_the_last_batch_is_short() {
        let lengths: Vec<usize> = (0..97).map(|i| 1 + i * 7919 % 101).collect();
        let chunks: Vec<&[usize]> = lengths.chunks(3).collect();
        let mut recordings = recordings_of(&chunks);
        let mut taken = Vec::new();
        while recordings.n_waiting() > 0 {
            let batch = recordings.take_batch(8, usize::MAX);
            assert!(batch.len() == 8 || recordings.n_waiting() == 0);
            taken.extend(
                batch
                    .iter()
                    .map(|chunk| (chunk.file, chunk.chunk.heard.start)),
            );
        }
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 97);
    }

    #[test]
    fn recordings_are_handed_out_in_the_order_given() {
        let mut recordings = recordings_of(&[&[5, 30], &[30], &[5]]);
        let short = recordings.take_batch(2, usize::MAX);
        assert_eq!(files(&short), [0, 2]);
        put_all(&mut recordings, short);
        assert!(
            files_done(&mut recordings).is_empty(),
            "the first still misses a chunk"
        );
        let long = recordings.take_batch(2, usize::MAX);
        put_all(&mut recordings, long);
        assert_eq!(files_done(&mut recordings), [0, 1, 2]);
    }

    #[test]
    fn one_failed_chunk_fails_its_recording_and_no_other() {
        let mut recordings = recordings_of(&[&[5, 6], &[7]]);
        let mut batch = recordings.take_batch(3, usize::MAX);
        let fault = batch.remove(0);
        recordings.put(fault, 1, Err(parakeet_model::Error::EmptyBatch));
        put_all(&mut recordings, batch);
        recordings.fail(2, AudioError::Empty.into());
        let outcomes: Vec<_> = std::iter::from_fn(|| recordings.next_done())
            .map(|(file, heard)| (file, heard.is_ok()))
            .collect();
        assert_eq!(outcomes, [(0, false), (1, true), (2, false)]);
    }
}
