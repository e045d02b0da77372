//! Hears batch after batch, in the memory there is.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Instant;

use parakeet_model::{Device, Error, ParakeetModel, Utterances};
use rnnt_decode::{Hypothesis, SearchRules, search_within};
use segmenter::ChunkRules;

use crate::recordings::Recordings;
use crate::stats::Stats;

/// Shortest chunk, in encoder frames, that is planned anew when it does not fit the memory: 4 s. A
/// device that has no room for so little has none for anything.
const LEAST_FRAMES: usize = 50;

/// Who hears: the network, and in tests a script.
pub(crate) trait Ears {
    /// Hears every utterance of a batch: encodes it whole and searches a part of it.
    fn hear(&self, batch: &[Utterance], stats: &mut Stats) -> Result<Vec<Hypothesis>, Error>;
}

/// What is encoded in one row of a batch, and which of its encoder frames are searched.
pub(crate) struct Utterance<'a> {
    pub(crate) samples: &'a [f32],
    pub(crate) frames: Range<usize>,
}

/// Takes chunks from recordings, and puts back what was heard in them.
///
/// A batch that fails is halved until the chunk at fault is alone, so that one recording cannot take
/// others along. One that does not fit the memory is halved as well; a chunk that does not fit alone is
/// cut into smaller ones. What did not fit is remembered, and not tried again.
pub(crate) struct Hearing<'a, E> {
    pub(crate) ears: &'a E,
    pub(crate) batch_size: usize,
    pub(crate) chunk_rules: &'a ChunkRules,
    /// Most samples of a batch, padding included.
    max_samples: usize,
}

impl<'a, E: Ears> Hearing<'a, E> {
    pub(crate) fn new(ears: &'a E, batch_size: NonZeroUsize, chunk_rules: &'a ChunkRules) -> Self {
        Self {
            ears,
            batch_size: batch_size.get(),
            chunk_rules,
            max_samples: usize::MAX,
        }
    }

    /// Hears one batch, and says how many samples of recordings that makes, whatever was heard in
    /// them. `None` if no chunk waits.
    pub(crate) fn step(&mut self, recordings: &mut Recordings, stats: &mut Stats) -> Option<usize> {
        let mut batch = recordings.take_batch(self.batch_size, self.max_samples);
        while let [chunk] = &batch[..]
            && chunk.n_encoded() > self.max_samples
            && let Some(rules) = self.smaller_rules()
        {
            recordings.split(chunk, &rules);
            batch = recordings.take_batch(self.batch_size, self.max_samples);
        }
        if batch.is_empty() {
            return None;
        }

        let stride = self.chunk_rules.stride.get();
        let utterances: Vec<_> = batch
            .iter()
            .map(|it| recordings.utterance(it, stride))
            .collect();
        let heard = self.hear(&utterances, stats);
        assert_eq!(heard.len(), batch.len(), "every chunk has an answer");

        let mut n_done = 0;
        for (chunk, hypothesis) in batch.into_iter().zip(heard) {
            match hypothesis {
                Some(hypothesis) => n_done += recordings.put(chunk, stride, hypothesis),
                None => recordings.put_back(chunk),
            }
        }
        Some(n_done)
    }

    /// Hears a batch, or its halves; `None` for a chunk that is to be cut.
    fn hear(
        &mut self,
        batch: &[Utterance],
        stats: &mut Stats,
    ) -> Vec<Option<Result<Hypothesis, Error>>> {
        let longest = batch.iter().map(|it| it.samples.len()).max().unwrap_or(0);
        let n_samples = longest * batch.len();
        let may_shrink = batch.len() > 1 || self.smaller_rules().is_some();
        if n_samples <= self.max_samples || !may_shrink {
            match self.ears.hear(batch, stats) {
                Ok(hypotheses) => return hypotheses.into_iter().map(|it| Some(Ok(it))).collect(),
                Err(why @ Error::OutOfMemory { .. }) => {
                    self.max_samples = self.max_samples.min(n_samples / 2);
                    if batch.len() == 1 && self.smaller_rules().is_none() {
                        return vec![Some(Err(why))];
                    }
                }
                Err(why) if batch.len() == 1 => return vec![Some(Err(why))],
                Err(_) => {}
            }
        }
        if batch.len() == 1 {
            return vec![None];
        }
        let (one, other) = batch.split_at(batch.len() / 2);
        let mut hypotheses = self.hear(one, stats);
        hypotheses.extend(self.hear(other, stats));
        hypotheses
    }

    /// The rules for chunks that fit the memory; `None` if they would be too short to make sense.
    fn smaller_rules(&self) -> Option<ChunkRules> {
        let stride = self.chunk_rules.stride;
        let max_frames = NonZeroUsize::new(self.max_samples / stride)?;
        (max_frames.get() >= LEAST_FRAMES).then(|| ChunkRules::of_length(stride, max_frames))
    }
}

/// A loaded network and the rules of the search.
pub(crate) struct Network<'a> {
    pub(crate) model: &'a ParakeetModel,
    pub(crate) search_rules: &'a SearchRules,
    /// Most chunks encoded at once.
    pub(crate) batch_size: NonZeroUsize,
}

impl Network<'_> {
    /// Most chunks that are worth a search together: on a GPU, whose steps take as long for 512 lanes
    /// as for 32, four encoder batches.
    pub(crate) fn n_together(&self) -> NonZeroUsize {
        let n_batches = match self.model.device() {
            Device::Cuda => const { NonZeroUsize::new(4).expect("4 is not 0") },
            _ => NonZeroUsize::MIN,
        };
        self.batch_size.saturating_mul(n_batches)
    }

    fn encode(&self, samples: &[&[f32]], stats: &mut Stats) -> Result<Utterances<'_>, Error> {
        let mut batches = Vec::new();
        for batch in samples.chunks(self.batch_size.get()) {
            stats.batches.count(batch.len());
            batches.push(self.model.encode(batch)?);
        }
        Utterances::join(batches)
    }
}

impl Ears for Network<'_> {
    fn hear(&self, batch: &[Utterance], stats: &mut Stats) -> Result<Vec<Hypothesis>, Error> {
        let (samples, frames): (Vec<_>, Vec<_>) = batch
            .iter()
            .map(|it| (it.samples, it.frames.clone()))
            .unzip();
        let begun = Instant::now();
        let utterances = self.encode(&samples, stats);
        let encoded = Instant::now();
        stats.encode += encoded - begun;
        let found =
            utterances.and_then(|mut it| search_within(&mut it, &frames, self.search_rules));
        stats.search += encoded.elapsed();
        if let Err(Error::OutOfMemory { .. }) = found {
            self.model.release_memory();
        }
        let found = found?;
        stats.searched += found.stats;
        Ok(found.hypotheses)
    }
}

#[cfg(test)]
mod tests;
