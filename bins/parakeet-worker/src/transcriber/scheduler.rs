//! Runs batch after batch of chunks, within the memory that the device turns out to have.
//!
//! Four sizes are often all called *batch size*. Here each has its own name:
//!
//! | size | counts | in code | default |
//! |---|---|---|---|
//! | tasks in flight | tasks taken, not answered | the client's recordings | 1; GPU: 16 |
//! | search batch | chunks searched together | `max_chunks` | an encoder batch; GPU: four |
//! | encoder batch | chunks encoded together | `Settings::batch_size` | 4; GPU: what its memory holds |
//! | pass | samples in one encoder call | `ParakeetModel::pass_samples` | 45 s; int8: one chunk; GPU: an encoder batch |
//!
//! The scheduler forms search batches only. parakeet-model splits a search batch into encoder batches, and
//! those into passes. `max_samples` bounds a search batch in samples, padding included. The bound does not
//! exist until memory runs out for the first time.
//!
//! Who handles which failure:
//!
//! | what fails | who | what happens |
//! |---|---|---|
//! | memory, with two batches in it | `search` | puts the batch ahead back; retries the other whole, alone |
//! | memory, with one batch of chunks in it | `bisect` | lowers `max_samples`; retries the halves in turn |
//! | memory, with a single chunk in it | `bisect` | `search` puts the chunk back; `encode_next` cuts it |
//! | memory, with a chunk of under 8 s in it | `bisect` | cannot cut it below 4 s: fails the recording |
//! | anything else, with several chunks | `bisect` | retries the halves, until the chunk at fault is alone |
//! | anything else, with a single chunk | `bisect` | gives it the error: `ChunkQueue::record_outcome` fails the recording |
//! | the audio of a recording | `admit` | `ChunkQueue::fail`: the recording never has chunks |
//! | the GPU, for good | the client | a worker panics, so that the SDK loads the engine again |
//!
//! A chunk that was searched is never searched again: a retry covers only chunks without an outcome.

use std::num::NonZeroUsize;

use parakeet_model::Error;
use rnnt_decode::Hypothesis;
use segmenter::ChunkRules;

use super::chunk_queue::{ChunkQueue, PendingChunk};
use super::counters::Stats;
use super::recognizer::{Recognizer, Utterance};

/// Shortest limit, in encoder frames, by which a chunk that does not fit the memory is cut: 4 s. A device
/// without memory for so little audio has no memory for any.
const MIN_FRAMES: usize = 50;

/// Takes batches from the chunk queue and puts the outcome of each chunk back.
pub(super) struct BatchScheduler<'a, R: Recognizer> {
    recognizer: &'a R,
    /// Most chunks in a search batch.
    max_chunks: usize,
    chunk_rules: &'a ChunkRules,
    /// Most samples in a search batch, padding included. Only ever falls: what did not fit is not tried again,
    /// unless it cannot be cut.
    max_samples: usize,
    /// The batch that is encoded while the one before it is searched.
    ahead: Option<InFlightBatch<R::Encoding>>,
    /// Whether the memory holds two batches, as far as is known. Never becomes true again.
    has_room_ahead: bool,
}

/// A batch that was given to the encoder and is not searched yet.
pub(super) struct InFlightBatch<E> {
    chunks: Vec<PendingChunk>,
    encoding: Result<E, Error>,
    /// Whether it was encoded while another batch was in memory.
    was_ahead: bool,
}

/// What became of each chunk of a batch, in the order of the batch. `None` is a chunk that does not fit the
/// memory alone: it goes back to the queue to be cut.
type Outcomes = Vec<Option<Result<Hypothesis, Error>>>;

impl<'a, R: Recognizer> BatchScheduler<'a, R> {
    pub(super) fn new(
        recognizer: &'a R,
        max_chunks: NonZeroUsize,
        chunk_rules: &'a ChunkRules,
    ) -> Self {
        Self {
            recognizer,
            max_chunks: max_chunks.get(),
            chunk_rules,
            max_samples: usize::MAX,
            ahead: None,
            has_room_ahead: recognizer.encodes_ahead(),
        }
    }

    /// Returns the batch that was encoded ahead, or else takes a new batch and encodes it. `None` if no chunk
    /// waits. A failure of the encoder stays in the batch, for [`search`](Self::search) to handle.
    pub(super) fn encode(
        &mut self,
        queue: &mut ChunkQueue,
        stats: &mut Stats,
    ) -> Option<InFlightBatch<R::Encoding>> {
        let ahead = self.ahead.take();
        ahead.or_else(|| self.encode_next(queue, stats))
    }

    /// Searches a batch and puts the outcome of every chunk into the queue. On a GPU gives the next batch to
    /// the encoder first, so that both run at the same time.
    pub(super) fn search(
        &mut self,
        batch: InFlightBatch<R::Encoding>,
        queue: &mut ChunkQueue,
        stats: &mut Stats,
    ) {
        let InFlightBatch {
            mut chunks,
            encoding,
            was_ahead,
        } = batch;
        // After a failed encoding the memory is needed for the retry.
        if self.has_room_ahead && encoding.is_ok() {
            self.ahead = self.encode_next(queue, stats);
            if let Some(ahead) = &mut self.ahead {
                ahead.was_ahead = true;
            }
        }

        let stride = self.chunk_rules.stride;
        let frames: Vec<_> = chunks.iter().map(|it| it.frames(stride)).collect();
        let searched = encoding.and_then(|it| self.recognizer.search(it, &frames, stats));
        let outcomes: Outcomes = match searched {
            Ok(hypotheses) => hypotheses.into_iter().map(|it| Some(Ok(it))).collect(),
            Err(why) => {
                // A batch that shared the memory with another may fit alone.
                let shared_memory = was_ahead || self.ahead.is_some();
                let is_crowded = matches!(why, Error::OutOfMemory { .. }) && shared_memory;
                self.has_room_ahead &= !is_crowded;
                // After every failure, and not only after a lack of memory: the retry encodes again, and may
                // lack the memory that the batch ahead holds.
                self.put_back_ahead(queue);
                // The client may have given up a recording while its chunks were encoded; only a retry needs
                // its samples, which are gone.
                queue.drop_forgotten(&mut chunks);
                let utterance = |it| queue.utterance(it, stride);
                let utterances: Vec<_> = chunks.iter().map(utterance).collect();
                if utterances.is_empty() {
                    Vec::new()
                } else if is_crowded {
                    self.retry(&utterances, stats)
                } else {
                    self.bisect(&utterances, why, stats)
                }
            }
        };
        assert_eq!(outcomes.len(), chunks.len(), "every chunk has an outcome");

        for (chunk, outcome) in chunks.into_iter().zip(outcomes) {
            match outcome {
                Some(outcome) => queue.record_outcome(chunk, stride, outcome),
                None => queue.put_back(chunk),
            }
        }
    }

    /// Takes a batch from the queue and gives it to the encoder.
    fn encode_next(
        &self,
        queue: &mut ChunkQueue,
        stats: &mut Stats,
    ) -> Option<InFlightBatch<R::Encoding>> {
        let mut chunks = queue.take_batch(self.max_chunks, self.max_samples);
        // The queue gives at least one chunk, even a chunk that was planned before `max_samples` fell. Such a
        // chunk is cut only here, when its turn comes: `max_samples` may fall further while it waits. The loop
        // ends, because each turn cuts one chunk into chunks that fit.
        while let [chunk] = &chunks[..]
            && chunk.n_encoded() > self.max_samples
            && let Some(rules) = self.smaller_rules()
        {
            queue.split(chunk, &rules);
            chunks = queue.take_batch(self.max_chunks, self.max_samples);
        }
        if chunks.is_empty() {
            return None;
        }
        let stride = self.chunk_rules.stride;
        let utterance = |it| queue.utterance(it, stride);
        let utterances: Vec<_> = chunks.iter().map(utterance).collect();
        let encoding = self.recognizer.encode(&utterances, stats);
        Some(InFlightBatch {
            chunks,
            encoding,
            was_ahead: false,
        })
    }

    /// Cancels the batch that was encoded ahead, which frees its memory, and puts its chunks back.
    fn put_back_ahead(&mut self, queue: &mut ChunkQueue) {
        let Some(mut ahead) = self.ahead.take() else {
            return;
        };
        if let Ok(encoding) = ahead.encoding {
            self.recognizer.cancel(encoding);
        }
        queue.drop_forgotten(&mut ahead.chunks);
        for chunk in ahead.chunks {
            queue.put_back(chunk);
        }
    }

    /// Encodes and searches a batch again, or its halves if it is known not to fit.
    fn retry(&mut self, batch: &[Utterance], stats: &mut Stats) -> Outcomes {
        // A failure in an earlier half may have lowered `max_samples` below this batch: trying it whole would
        // fail for certain. A single chunk that cannot be cut any more is tried all the same, since nothing
        // smaller will ever be.
        let may_shrink = batch.len() > 1 || self.smaller_rules().is_some();
        if n_samples(batch) > self.max_samples && may_shrink {
            return self.retry_halves(batch, stats);
        }
        let frames: Vec<_> = batch.iter().map(|it| it.frames.clone()).collect();
        let encoding = self.recognizer.encode(batch, stats);
        match encoding.and_then(|it| self.recognizer.search(it, &frames, stats)) {
            Ok(hypotheses) => hypotheses.into_iter().map(|it| Some(Ok(it))).collect(),
            Err(why) => self.bisect(batch, why, stats),
        }
    }

    /// Handles the failure of a batch that had the memory for itself: retries its halves, or gives a single
    /// chunk its outcome. Remembers a lack of memory.
    fn bisect(&mut self, batch: &[Utterance], why: Error, stats: &mut Stats) -> Outcomes {
        let may_shrink = if let Error::OutOfMemory { .. } = why {
            self.max_samples = self.max_samples.min(n_samples(batch) / 2);
            batch.len() > 1 || self.smaller_rules().is_some()
        } else {
            batch.len() > 1
        };
        if may_shrink {
            self.retry_halves(batch, stats)
        } else {
            vec![Some(Err(why))]
        }
    }

    /// Retries the halves of a batch, one after the other. A single chunk has no halves; its outcome is `None`,
    /// so that it is cut.
    fn retry_halves(&mut self, batch: &[Utterance], stats: &mut Stats) -> Outcomes {
        if batch.len() == 1 {
            return vec![None];
        }
        let (one, other) = batch.split_at(batch.len() / 2);
        let mut outcomes = self.retry(one, stats);
        outcomes.extend(self.retry(other, stats));
        outcomes
    }

    /// The rules for chunks that fit `max_samples`; `None` if they would be shorter than [`MIN_FRAMES`].
    fn smaller_rules(&self) -> Option<ChunkRules> {
        let stride = self.chunk_rules.stride;
        let max_frames = NonZeroUsize::new(self.max_samples / stride)?;
        (max_frames.get() >= MIN_FRAMES).then(|| ChunkRules::of_length(stride, max_frames))
    }
}

/// Samples of a batch, padding included.
fn n_samples(batch: &[Utterance]) -> usize {
    let longest = batch.iter().map(|it| it.samples.len()).max().unwrap_or(0);
    longest * batch.len()
}

#[cfg(test)]
mod tests;
