//! Times and counts of one transcription: facts alone. `transcribe/report.rs` prints them, and the worker's
//! metrics are differences between two snapshots of them.

use std::time::Duration;

use rnnt_decode::{SearchStats, Window};

/// Times and counts of one transcription. Every value but `wall` and `window` grows while the
/// transcription runs.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// From the first recording to the last result, without loading the model. Set at the end.
    pub wall: Duration,
    /// Length of all recordings that could be loaded, in seconds.
    pub audio_s: f64,
    /// Length of the audio that is searched, skipped as silence, or given up after a failure, in seconds.
    pub recognized_s: f64,
    /// Peak length of the recordings that were in memory at the same time, in seconds.
    pub held_s: f64,
    /// Audio decoding, summed over its threads, which run in parallel with everything else.
    pub audio_decode: Duration,
    /// Planning of chunks.
    pub plan: Duration,
    /// Log-mel and encoder. A GPU encodes in parallel with the search.
    pub encode: Duration,
    /// Search: joint and predictor.
    pub search: Duration,
    /// Words, segments and delivery to the client, which includes printing.
    pub words: Duration,
    /// Encoder batches.
    pub batches: Batches,
    /// The search's rule for the number of frames that a lane scores per joint call.
    pub window: Window,
    /// The search's own counts, over all batches.
    pub searched: SearchStats,
}

/// Counts of encoder batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batches {
    /// Number of batches.
    pub n: usize,
    /// Chunks in all batches.
    pub n_chunks: usize,
    /// Chunks in the largest batch.
    pub largest: usize,
}

impl Batches {
    pub(crate) fn count(&mut self, n_chunks: usize) {
        self.n += 1;
        self.n_chunks += n_chunks;
        self.largest = self.largest.max(n_chunks);
    }
}

impl Stats {
    /// The timed steps from a recording to its words, by the names that the metrics give them.
    pub fn steps(&self) -> [(&'static str, Duration); 5] {
        [
            ("audio_decode", self.audio_decode),
            ("plan", self.plan),
            ("encode", self.encode),
            ("search", self.search),
            ("words", self.words),
        ]
    }
}
