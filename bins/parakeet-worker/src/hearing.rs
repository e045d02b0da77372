//! Hears batch after batch, in the memory there is.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Instant;

use parakeet_model::{Error, ParakeetModel, PendingEncoding};
use rnnt_decode::{Hypothesis, SearchRules, search_within};
use segmenter::ChunkRules;

use crate::recordings::{ChunkOf, Recordings};
use crate::stats::Stats;

/// Shortest chunk, in encoder frames, that is planned anew when it does not fit the memory: 4 s. A
/// device that has no room for so little has none for anything.
const LEAST_FRAMES: usize = 50;

/// Who hears: the network, and in tests a script.
pub(crate) trait Ears {
    /// A batch on its way through the encoder.
    type Encoding;

    /// Whether a batch is encoded while the one before it is searched.
    fn encodes_ahead(&self) -> bool;

    /// Encodes every utterance of a batch, whole.
    fn encode(&self, batch: &[Utterance], stats: &mut Stats) -> Result<Self::Encoding, Error>;

    /// Searches these frames of each utterance.
    fn search(
        &self,
        encoding: Self::Encoding,
        frames: &[Range<usize>],
        stats: &mut Stats,
    ) -> Result<Vec<Hypothesis>, Error>;

    /// Lets go of a batch, and of the memory that it holds.
    fn cancel(&self, encoding: Self::Encoding);
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
pub(crate) struct Hearing<'a, E: Ears> {
    pub(crate) ears: &'a E,
    pub(crate) batch_size: usize,
    pub(crate) chunk_rules: &'a ChunkRules,
    /// Most samples of a batch, padding included.
    max_samples: usize,
    /// What is encoded while the batch before it is searched.
    ahead: Option<Begun<E::Encoding>>,
    /// Whether the memory holds two batches, as far as is known.
    has_room_ahead: bool,
}

/// A batch that was taken and not searched yet.
struct Begun<T> {
    batch: Vec<ChunkOf>,
    encoding: Result<T, Error>,
}

impl<'a, E: Ears> Hearing<'a, E> {
    pub(crate) fn new(ears: &'a E, batch_size: NonZeroUsize, chunk_rules: &'a ChunkRules) -> Self {
        Self {
            ears,
            batch_size: batch_size.get(),
            chunk_rules,
            max_samples: usize::MAX,
            ahead: None,
            has_room_ahead: ears.encodes_ahead(),
        }
    }

    /// Hears one batch, and says how many samples of recordings that makes, whatever was heard in
    /// them. `None` if no chunk waits.
    pub(crate) fn step(&mut self, recordings: &mut Recordings, stats: &mut Stats) -> Option<usize> {
        let ahead = self.ahead.take();
        let was_ahead = ahead.is_some();
        let begun = ahead.or_else(|| self.begin(recordings, stats))?;
        let Begun {
            mut batch,
            encoding,
        } = begun;
        if self.has_room_ahead && encoding.is_ok() {
            self.ahead = self.begin(recordings, stats);
        }

        let stride = self.chunk_rules.stride;
        let frames: Vec<_> = batch.iter().map(|it| it.frames(stride)).collect();
        let mut n_done = 0;
        let heard = match encoding.and_then(|it| self.ears.search(it, &frames, stats)) {
            Ok(hypotheses) => hypotheses.into_iter().map(|it| Some(Ok(it))).collect(),
            Err(why) => {
                let is_crowded =
                    matches!(why, Error::OutOfMemory { .. }) && (was_ahead || self.ahead.is_some());
                self.has_room_ahead &= !is_crowded;
                n_done += self.put_back_ahead(recordings);
                n_done += recordings.drop_forgotten(&mut batch);
                let utterances: Vec<_> = batch
                    .iter()
                    .map(|it| recordings.utterance(it, stride))
                    .collect();
                if utterances.is_empty() {
                    Vec::new()
                } else if is_crowded {
                    // Alone it may fit.
                    self.hear(&utterances, stats)
                } else {
                    self.divide(&utterances, why, stats)
                }
            }
        };
        assert_eq!(heard.len(), batch.len(), "every chunk has an answer");

        for (chunk, hypothesis) in batch.into_iter().zip(heard) {
            match hypothesis {
                Some(hypothesis) => n_done += recordings.put(chunk, stride, hypothesis),
                None => recordings.put_back(chunk),
            }
        }
        Some(n_done)
    }

    /// Takes a batch and has it encoded.
    fn begin(&self, recordings: &mut Recordings, stats: &mut Stats) -> Option<Begun<E::Encoding>> {
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
        let stride = self.chunk_rules.stride;
        let utterances: Vec<_> = batch
            .iter()
            .map(|it| recordings.utterance(it, stride))
            .collect();
        let encoding = self.ears.encode(&utterances, stats);
        Some(Begun { batch, encoding })
    }

    /// Lets go of the batch that was encoded ahead: its memory may be what another one lacks. How many
    /// samples of it nobody wants any more.
    fn put_back_ahead(&mut self, recordings: &mut Recordings) -> usize {
        let Some(Begun {
            mut batch,
            encoding,
        }) = self.ahead.take()
        else {
            return 0;
        };
        if let Ok(encoding) = encoding {
            self.ears.cancel(encoding);
        }
        let n_unwanted = recordings.drop_forgotten(&mut batch);
        for chunk in batch {
            recordings.put_back(chunk);
        }
        n_unwanted
    }

    /// Hears a batch, or its halves; `None` for a chunk that is to be cut.
    fn hear(
        &mut self,
        batch: &[Utterance],
        stats: &mut Stats,
    ) -> Vec<Option<Result<Hypothesis, Error>>> {
        let may_shrink = batch.len() > 1 || self.smaller_rules().is_some();
        if n_samples(batch) > self.max_samples && may_shrink {
            return self.hear_halves(batch, stats);
        }
        let frames: Vec<_> = batch.iter().map(|it| it.frames.clone()).collect();
        let encoding = self.ears.encode(batch, stats);
        match encoding.and_then(|it| self.ears.search(it, &frames, stats)) {
            Ok(hypotheses) => hypotheses.into_iter().map(|it| Some(Ok(it))).collect(),
            Err(why) => self.divide(batch, why, stats),
        }
    }

    /// Hears the halves of a batch that failed; `None` for a chunk that is to be cut.
    fn divide(
        &mut self,
        batch: &[Utterance],
        why: Error,
        stats: &mut Stats,
    ) -> Vec<Option<Result<Hypothesis, Error>>> {
        if let Error::OutOfMemory { .. } = why {
            self.max_samples = self.max_samples.min(n_samples(batch) / 2);
            if batch.len() == 1 && self.smaller_rules().is_none() {
                return vec![Some(Err(why))];
            }
        } else if batch.len() == 1 {
            return vec![Some(Err(why))];
        }
        self.hear_halves(batch, stats)
    }

    fn hear_halves(
        &mut self,
        batch: &[Utterance],
        stats: &mut Stats,
    ) -> Vec<Option<Result<Hypothesis, Error>>> {
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

/// Samples of a batch, padding included.
fn n_samples(batch: &[Utterance]) -> usize {
    let longest = batch.iter().map(|it| it.samples.len()).max().unwrap_or(0);
    longest * batch.len()
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
    pub(crate) fn n_together(model: &ParakeetModel, batch_size: NonZeroUsize) -> NonZeroUsize {
        let n_batches = match model.device().is_gpu() {
            true => const { NonZeroUsize::new(4).expect("4 is not 0") },
            false => NonZeroUsize::MIN,
        };
        batch_size.saturating_mul(n_batches)
    }

    /// After a lack of memory, gives back what libtorch keeps.
    fn checked<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::OutOfMemory { .. }) = outcome {
            self.model.release_memory();
        }
        outcome
    }
}

impl<'a> Ears for Network<'a> {
    type Encoding = PendingEncoding<'a>;

    /// A CPU would do both no sooner.
    fn encodes_ahead(&self) -> bool {
        self.model.device().is_gpu()
    }

    fn encode(&self, batch: &[Utterance], stats: &mut Stats) -> Result<PendingEncoding<'a>, Error> {
        let samples: Vec<_> = batch.iter().map(|it| it.samples).collect();
        for batch in samples.chunks(self.batch_size.get()) {
            stats.batches.count(batch.len());
        }
        self.checked(self.model.begin_encoding(&samples, self.batch_size))
    }

    fn search(
        &self,
        encoding: PendingEncoding<'a>,
        frames: &[Range<usize>],
        stats: &mut Stats,
    ) -> Result<Vec<Hypothesis>, Error> {
        let (encoded, took) = encoding.wait();
        stats.encode += took;
        let mut encoded = self.checked(encoded)?;
        let begun = Instant::now();
        let found = search_within(&mut encoded, frames, self.search_rules);
        // What was encoded is let go before a failure is looked at.
        drop(encoded);
        stats.search += begun.elapsed();
        let found = self.checked(found)?;
        stats.searched += found.stats;
        Ok(found.hypotheses)
    }

    fn cancel(&self, encoding: PendingEncoding<'a>) {
        encoding.cancel();
        self.model.release_memory();
    }
}

#[cfg(test)]
mod tests;
