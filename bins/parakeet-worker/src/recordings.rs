//! Recordings on their way through the network: which chunks wait, which are heard, which
//! recordings are complete.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use dalston_engine_sdk::audio::Waveform;
use rnnt_decode::{Token, Word};
use segmenter::Chunk;

use crate::engine::Error;

/// A chunk of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkOf {
    /// The recording's place in the order given.
    pub(crate) file: usize,
    /// The chunk's place in the recording.
    pub(crate) index: usize,
    /// Its samples, counted from the start of the recording.
    pub(crate) samples: Range<usize>,
}

/// What was heard in a recording, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) words: Vec<Vec<Word>>,
    pub(crate) tokens: Vec<Vec<Token>>,
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
    /// One chunk that failed is enough.
    heard: Result<Heard, Error>,
}

impl Recordings {
    /// Takes in a recording with at least one chunk.
    pub(crate) fn open(&mut self, file: usize, waveform: Waveform, chunks: Vec<Chunk>) {
        let heard = Ok(Heard {
            words: vec![Vec::new(); chunks.len()],
            tokens: vec![Vec::new(); chunks.len()],
            warnings: waveform.warnings.iter().map(ToString::to_string).collect(),
        });
        self.open.insert(
            file,
            Recording {
                waveform,
                n_missing: chunks.len(),
                heard,
            },
        );
        for (index, Chunk { samples }) in chunks.into_iter().enumerate() {
            let at = self
                .waiting
                .partition_point(|other| other.samples.len() <= samples.len());
            self.waiting.insert(
                at,
                ChunkOf {
                    file,
                    index,
                    samples,
                },
            );
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

    /// Takes up to `size` chunks: the first chunk of the first recording that waits, so that results
    /// come in order soon, and with it those nearest to it in length, so that little is padded.
    /// Empty only if no chunk waits.
    pub(crate) fn take_batch(&mut self, size: usize) -> Vec<ChunkOf> {
        let size = size.min(self.waiting.len());
        let in_order = |&at: &usize| (self.waiting[at].file, self.waiting[at].index);
        let Some(first) = (0..self.waiting.len()).min_by_key(in_order) else {
            return Vec::new();
        };
        let length = |at: usize| self.waiting[at].samples.len();
        let starts = first.saturating_sub(size - 1)..=first.min(self.waiting.len() - size);
        let start = starts
            .min_by_key(|&start| length(start + size - 1) - length(start))
            .expect("`first` is one of the chunks");
        self.waiting.drain(start..start + size).collect()
    }

    /// The samples of a chunk that was taken and not yet put back.
    pub(crate) fn samples(&self, chunk: &ChunkOf) -> &[f32] {
        &self.open[&chunk.file].waveform.samples[chunk.samples.clone()]
    }

    /// Puts back what was heard in a chunk that was taken.
    pub(crate) fn put(&mut self, chunk: &ChunkOf, heard: Result<(Vec<Word>, Vec<Token>), Error>) {
        let mut entry = match self.open.entry(chunk.file) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(_) => unreachable!("a recording is open while a chunk of it is missing"),
        };
        let recording = entry.get_mut();
        match (&mut recording.heard, heard) {
            (Ok(all), Ok((words, tokens))) => {
                all.words[chunk.index] = words;
                all.tokens[chunk.index] = tokens;
            }
            (all @ Ok(_), Err(why)) => *all = Err(why),
            (Err(_), _) => {}
        }
        recording.n_missing -= 1;
        if recording.n_missing == 0 {
            self.done.insert(chunk.file, entry.remove().heard);
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
                Chunk { samples }
            };
            recordings.open(file, waveform, lengths.iter().map(chunk_of).collect());
        }
        recordings
    }

    fn files(batch: &[ChunkOf]) -> Vec<usize> {
        batch.iter().map(|chunk| chunk.file).collect()
    }

    fn put_all(recordings: &mut Recordings, batch: &[ChunkOf]) {
        for chunk in batch {
            recordings.put(chunk, Ok((Vec::new(), Vec::new())));
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
        assert_eq!(files(&recordings.take_batch(3)), [3, 0, 5]);
        assert_eq!(files(&recordings.take_batch(3)), [1, 4, 2]);
        assert!(recordings.take_batch(3).is_empty());
    }

    #[test]
    fn every_chunk_is_taken_once_and_only_the_last_batch_is_short() {
        let lengths: Vec<usize> = (0..97).map(|i| 1 + i * 7919 % 101).collect();
        let chunks: Vec<&[usize]> = lengths.chunks(3).collect();
        let mut recordings = recordings_of(&chunks);
        let mut taken = Vec::new();
        while recordings.n_waiting() > 0 {
            let batch = recordings.take_batch(8);
            assert!(batch.len() == 8 || recordings.n_waiting() == 0);
            taken.extend(batch.iter().map(|chunk| (chunk.file, chunk.index)));
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..97).map(|i| (i / 3, i % 3)).collect::<Vec<_>>());
    }

    #[test]
    fn recordings_are_handed_out_in_the_order_given() {
        let mut recordings = recordings_of(&[&[5, 30], &[30], &[5]]);
        let short = recordings.take_batch(2);
        assert_eq!(files(&short), [0, 2]);
        put_all(&mut recordings, &short);
        assert!(
            files_done(&mut recordings).is_empty(),
            "the first still misses a chunk"
        );
        let long = recordings.take_batch(2);
        put_all(&mut recordings, &long);
        assert_eq!(files_done(&mut recordings), [0, 1, 2]);
    }

    #[test]
    fn one_failed_chunk_fails_its_recording_and_no_other() {
        let mut recordings = recordings_of(&[&[5, 6], &[7]]);
        let batch = recordings.take_batch(3);
        recordings.put(&batch[0], Err(parakeet_model::Error::EmptyBatch.into()));
        put_all(&mut recordings, &batch[1..]);
        recordings.fail(2, AudioError::Empty.into());
        let outcomes: Vec<_> = std::iter::from_fn(|| recordings.next_done())
            .map(|(file, heard)| (file, heard.is_ok()))
            .collect();
        assert_eq!(outcomes, [(0, false), (1, true), (2, false)]);
    }
}
