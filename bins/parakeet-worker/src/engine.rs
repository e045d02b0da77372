//! The audio path, from files to segments, in one function: [`Engine::transcribe`].

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use dalston_engine_sdk::audio::{AudioError, AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::ParakeetModel;
use rnnt_decode::{FrameClock, Hypothesis, SearchRules, Token, words};
use segmenter::{ChunkRules, Segment, SegmentRules, plan_chunks, segment, stitch};

use crate::hearing::{Hearing, Network};
use crate::read_ahead::read_ahead;
use crate::recordings::{Heard, Recordings};
use crate::source::Source;
use crate::stats::Stats;

/// A loaded model and the rules by which it is used.
pub struct Engine {
    /// The network, shared with whoever keeps it loaded.
    pub model: Arc<ParakeetModel>,
    /// The rules.
    pub settings: Settings,
}

/// How recordings are cut, batched, searched and segmented.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most chunks in one encoder batch; on a GPU several batches are searched together.
    pub batch_size: NonZeroUsize,
    /// What audio is refused.
    pub audio_limits: AudioLimits,
    /// Where long audio is cut.
    pub chunk_rules: ChunkRules,
    /// How emissions are searched.
    pub search_rules: SearchRules,
    /// Where segments end.
    pub segment_rules: SegmentRules,
}

/// What was heard in one recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// Sentence-like runs of words; empty if nothing was heard.
    pub segments: Vec<Segment>,
    /// The tokens of the words. Frames count from the recording's start: chunks begin on whole
    /// encoder frames, so one count runs through all of them.
    pub tokens: Vec<Token>,
    /// What was wrong with the audio and could be survived.
    pub warnings: Vec<String>,
}

/// Why a recording has no transcript.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The audio could not be loaded.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The network did not answer.
    #[error(transparent)]
    Model(#[from] parakeet_model::Error),
}

impl Engine {
    /// Transcribes recordings, chunks of several of them in one batch, and hands each result to
    /// `deliver` with its place in `sources`: in that order, each as soon as it and all before it
    /// are done. A recording that fails is delivered as an error and costs the others nothing. Before
    /// each batch `proceed` sees what was done so far. Stops early if either breaks.
    ///
    /// Audio is decoded on a thread of its own, far enough ahead that batches are full. At most four
    /// batches of the longest chunks wait in memory, on a GPU eight, and the recordings they are cut
    /// from.
    pub fn transcribe(
        &self,
        sources: &[Source],
        mut proceed: impl FnMut(&Stats) -> ControlFlow<()>,
        mut deliver: impl FnMut(usize, Result<Transcript, Error>) -> ControlFlow<()>,
    ) -> Stats {
        let Settings {
            batch_size,
            audio_limits,
            chunk_rules,
            search_rules,
            ..
        } = &self.settings;
        let longest = chunk_rules.max_frames.get() * chunk_rules.stride.get();
        let network = Network {
            model: &self.model,
            search_rules,
            batch_size: *batch_size,
        };
        let n_together = network.n_together();
        let n_ahead = (4 * batch_size.get()).max(2 * n_together.get());
        let (decoded, arrivals) = read_ahead(n_ahead * longest);
        let mut hearing = Hearing::new(&network, n_together, chunk_rules);
        let mut stats = Stats {
            window: search_rules.window,
            ..Stats::default()
        };
        let begun = Instant::now();

        thread::scope(|scope| {
            scope.spawn(move || decoded.load_all(sources, audio_limits));
            // Owned in here: dropped on any way out, it lets the thread go.
            let arrivals = arrivals;
            let mut recordings = Recordings::default();
            loop {
                // Waits for audio only while there is too little of it for a full batch.
                while let Some(loaded) = arrivals.next(recordings.n_waiting() < n_together.get()) {
                    stats.audio_decode += loaded.took;
                    match loaded.waveform {
                        Ok(waveform) => {
                            stats.audio_s += waveform.duration_s();
                            let planning = Instant::now();
                            let chunks = plan_chunks(&waveform.samples, chunk_rules);
                            stats.plan += planning.elapsed();
                            let n_heard = chunks.iter().map(|it| it.heard.len() - it.overlap);
                            let n_skipped = waveform.samples.len() - n_heard.sum::<usize>();
                            arrivals.release(n_skipped);
                            stats.heard_s += seconds(n_skipped);
                            recordings.open(loaded.file, waveform, chunks);
                        }
                        Err(why) => recordings.fail(loaded.file, why.into()),
                    }
                }

                if proceed(&stats).is_break() {
                    return;
                }
                let n_heard = hearing.step(&mut recordings, &mut stats);
                arrivals.release(n_heard.unwrap_or(0));
                stats.heard_s += seconds(n_heard.unwrap_or(0));

                let making_words = Instant::now();
                while let Some((file, heard)) = recordings.next_done() {
                    let transcript = heard.map(|heard| self.transcript(heard));
                    if deliver(file, transcript).is_break() {
                        return;
                    }
                }
                stats.words += making_words.elapsed();
                if n_heard.is_none() {
                    return;
                }
            }
        });
        stats.wall = begun.elapsed();
        stats
    }

    /// Makes the segments of a recording from what was heard in its chunks.
    fn transcript(&self, heard: Heard) -> Transcript {
        let stride = self.settings.chunk_rules.stride;
        let vocabulary = self.model.vocabulary();
        let hypothesis = Hypothesis {
            tokens: stitch(heard.chunks, stride, vocabulary),
        };
        let clock = FrameClock {
            stride: stride.get(),
            sample_rate_hz: SAMPLE_RATE_HZ,
            samples: 0..heard.n_samples,
        };
        let times = self.model.manifest().head.into();
        let words = words(&hypothesis, vocabulary, &clock, times);
        Transcript {
            segments: segment(&words, &self.settings.segment_rules),
            tokens: hypothesis.tokens,
            warnings: heard.warnings,
        }
    }
}

fn seconds(n_samples: usize) -> f64 {
    n_samples as f64 / f64::from(SAMPLE_RATE_HZ)
}
