//! Turns a batch of chunks into tokens: the encoder and the search, behind a trait that tests script.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Instant;

use parakeet_model::{Error, ParakeetModel, PendingEncoding};
use rnnt_decode::{Hypothesis, SearchRules, search_within};

use super::counters::Stats;

/// Encodes and searches batches. [`ModelRecognizer`] does it with a model; tests script the outcome.
pub(super) trait Recognizer {
    /// A batch that is encoded, or on its way through the encoder.
    type Encoding;

    /// Whether the recognizer encodes a batch while it searches the batch before.
    fn encodes_ahead(&self) -> bool;

    /// Encodes all utterances of a batch, with their context. Where [`encodes_ahead`](Self::encodes_ahead) is
    /// true, this returns before the encoder is through.
    fn encode(&self, batch: &[Utterance], stats: &mut Stats) -> Result<Self::Encoding, Error>;

    /// Waits for the encoder, then searches the given encoder frames of each utterance. Returns one
    /// hypothesis per utterance, in their order. Frees the encoding in any case.
    fn search(
        &self,
        encoding: Self::Encoding,
        frames: &[Range<usize>],
        stats: &mut Stats,
    ) -> Result<Vec<Hypothesis>, Error>;

    /// Drops an encoding that nobody will search, and returns once its memory is free.
    fn cancel(&self, encoding: Self::Encoding);
}

/// One row of a batch.
pub(super) struct Utterance<'a> {
    /// The samples that are encoded: the searched part of a chunk and its context.
    pub(super) samples: &'a [f32],
    /// The encoder frames that are searched, counted from the first sample.
    pub(super) frames: Range<usize>,
}

/// A loaded model and the rules of the search.
pub(super) struct ModelRecognizer<'a> {
    pub(super) model: &'a ParakeetModel,
    pub(super) search_rules: &'a SearchRules,
    /// Most chunks in one encoder batch.
    pub(super) batch_size: NonZeroUsize,
}

impl ModelRecognizer<'_> {
    /// Most chunks that are worth one search: one encoder batch on a CPU, four on a GPU. A joint call on a GPU
    /// takes as long for 512 lanes as for 32.
    pub(super) fn search_batch_size(
        model: &ParakeetModel,
        batch_size: NonZeroUsize,
    ) -> NonZeroUsize {
        let n_batches = match model.device().is_gpu() {
            true => const { NonZeroUsize::new(4).expect("4 is not 0") },
            false => NonZeroUsize::MIN,
        };
        batch_size.saturating_mul(n_batches)
    }

    /// Passes an outcome on. If memory ran out, gives the memory that libtorch caches back to the device
    /// first, so that the retry does not fail on a fragmented cache.
    fn checked<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::OutOfMemory { .. }) = outcome {
            self.model.release_memory();
        }
        outcome
    }
}

impl<'a> Recognizer for ModelRecognizer<'a> {
    type Encoding = PendingEncoding<'a>;

    /// Encoder and search share the cores of a CPU, so encoding ahead there saves no time and costs memory.
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
        // `checked` can only give back memory that nothing uses: free the encoder's output before it.
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
