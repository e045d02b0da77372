//! Recordings on their way through the network: which chunks wait, which are heard, which
//! recordings are complete.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::ops::Range;

use dalston_engine_sdk::audio::Waveform;
use rnnt_decode::{Hypothesis, Token};
use segmenter::{Chunk, ChunkRules, split_chunk};

use crate::engine::Error;
use crate::hearing::Utterance;

/// A chunk of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkOf {
    /// The recording's number.
    pub(crate) file: usize,
    /// Its part of the recording.
    pub(crate) chunk: Chunk,
}

impl ChunkOf {
    /// Samples that go through the network.
    pub(crate) fn n_encoded(&self) -> usize {
        self.chunk.encoded.len()
    }

    /// The encoder frames that are searched, counted from the chunk's first.
    pub(crate) fn frames(&self, stride: NonZeroUsize) -> Range<usize> {
        let chunk = &self.chunk;
        let frame = |sample: usize| (sample - chunk.encoded.start).div_ceil(stride.get());
        frame(chunk.searched.start)..frame(chunk.searched.end)
    }

    /// Samples that this chunk hears and none before it.
    pub(crate) fn n_new(&self) -> usize {
        n_new(&self.chunk)
    }
}

fn n_new(chunk: &Chunk) -> usize {
    chunk.searched.len() - chunk.overlap
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
    done: VecDeque<(usize, Result<Heard, Error>)>,
    /// Whether the recording with the fewest chunks left is next, or the oldest.
    is_turn_of_shortest: bool,
}

/// A recording with chunks not yet heard. Its samples are dropped with the last one.
struct Recording {
    waveform: Waveform,
    n_missing: usize,
    /// How many samples were heard or need not be.
    n_done: usize,
    /// By the first sample that is heard. One chunk that failed is enough.
    heard: Result<BTreeMap<usize, (Chunk, Vec<Token>)>, Error>,
}

impl Recordings {
    /// Takes in a recording; how many of its samples need not be heard. One without chunks is done: it
    /// holds nothing to hear.
    pub(crate) fn open(&mut self, file: usize, waveform: Waveform, chunks: Vec<Chunk>) -> usize {
        let n_skipped = waveform.samples.len() - chunks.iter().map(n_new).sum::<usize>();
        let recording = Recording {
            n_missing: chunks.len(),
            n_done: n_skipped,
            waveform,
            heard: Ok(BTreeMap::new()),
        };
        if chunks.is_empty() {
            self.done.push_back((file, recording.close()));
            return n_skipped;
        }
        self.open.insert(file, recording);
        for chunk in chunks {
            self.put_back(ChunkOf { file, chunk });
        }
        n_skipped
    }

    /// Takes in a recording that could not be loaded.
    pub(crate) fn fail(&mut self, file: usize, why: Error) {
        self.done.push_back((file, Err(why)));
    }

    /// Number of chunks that wait.
    pub(crate) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Samples of the open recordings, which are in memory until the last of them is heard.
    pub(crate) fn n_held(&self) -> usize {
        self.open.values().map(|it| it.waveform.samples.len()).sum()
    }

    /// The open recordings, each with the share of it that is done, from 0 to 1.
    pub(crate) fn shares_done(&self) -> Vec<(usize, f64)> {
        let share = |(&file, it): (&usize, &Recording)| {
            (file, it.n_done as f64 / it.waveform.samples.len() as f64)
        };
        self.open.iter().map(share).collect()
    }

    /// Forgets a recording; how many of its samples that wait will not be heard. Nothing is handed out for
    /// it.
    pub(crate) fn forget(&mut self, file: usize) -> usize {
        self.open.remove(&file);
        self.drop_waiting(file).1
    }

    /// Drops the chunks of a recording that wait: how many they are, and how many samples they make.
    fn drop_waiting(&mut self, file: usize) -> (usize, usize) {
        let waiting = self.waiting.extract_if(.., |chunk| chunk.file == file);
        waiting.fold((0, 0), |(n, n_new), chunk| (n + 1, n_new + chunk.n_new()))
    }

    /// Takes up to `size` chunks, or fewer if they would be more than `max_samples` samples when all
    /// are padded to the longest: one chunk, and with it those nearest to it in length, of whatever
    /// recording, so that little is padded. The one is, turn about, the first of the oldest recording,
    /// and the first of the recording with the fewest left: a long recording lets short ones pass, and
    /// they do not hold it up for ever. Empty only if no chunk waits.
    pub(crate) fn take_batch(&mut self, size: usize, max_samples: usize) -> Vec<ChunkOf> {
        let n_left = |file: usize| match self.is_turn_of_shortest {
            true => self.open[&file].n_missing,
            false => 0,
        };
        let rank = |&at: &usize| {
            let ChunkOf { file, chunk } = &self.waiting[at];
            (n_left(*file), *file, chunk.searched.start)
        };
        let Some(first) = (0..self.waiting.len()).min_by_key(rank) else {
            return Vec::new();
        };
        self.is_turn_of_shortest ^= true;
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

    /// What of a chunk, taken and not yet put back, is encoded and searched. Its recording is open.
    pub(crate) fn utterance(&self, chunk: &ChunkOf, stride: NonZeroUsize) -> Utterance<'_> {
        let samples = &self.open[&chunk.file].waveform.samples;
        Utterance {
            samples: &samples[chunk.chunk.encoded.clone()],
            frames: chunk.frames(stride),
        }
    }

    /// Drops the chunks of recordings that were forgotten after these were taken; how many samples those
    /// make.
    pub(crate) fn drop_forgotten(&self, taken: &mut Vec<ChunkOf>) -> usize {
        let forgotten = taken.extract_if(.., |it| !self.open.contains_key(&it.file));
        forgotten.map(|it| it.n_new()).sum()
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

    /// Puts back what was heard in a chunk that was taken; how many samples that makes. When one failed,
    /// those of its recording that wait are not heard any more. If the recording was forgotten meanwhile,
    /// nobody wants it.
    pub(crate) fn put(
        &mut self,
        ChunkOf { file, chunk }: ChunkOf,
        stride: NonZeroUsize,
        heard: Result<Hypothesis, parakeet_model::Error>,
    ) -> usize {
        let (n_dropped, n_unheard) = match heard {
            Ok(_) => (0, 0),
            Err(_) => self.drop_waiting(file),
        };
        let n_new = n_new(&chunk) + n_unheard;
        let mut entry = match self.open.entry(file) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(_) => return n_new,
        };
        let recording = entry.get_mut();
        match (&mut recording.heard, heard) {
            (Ok(all), Ok(Hypothesis { mut tokens })) => {
                for token in &mut tokens {
                    token.frame += chunk.encoded.start / stride.get();
                }
                all.insert(chunk.searched.start, (chunk, tokens));
            }
            (all @ Ok(_), Err(why)) => *all = Err(why.into()),
            (Err(_), _) => {}
        }
        recording.n_missing -= 1 + n_dropped;
        recording.n_done += n_new;
        if recording.n_missing == 0 {
            self.done.push_back((file, entry.remove().close()));
        }
        n_new
    }

    /// Hands out a recording that is done.
    pub(crate) fn next_done(&mut self) -> Option<(usize, Result<Heard, Error>)> {
        self.done.pop_front()
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
pub(crate) mod tests;
