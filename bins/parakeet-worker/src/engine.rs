//! The audio path, from recordings to segments, in one function: [`Engine::transcribe`].

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::{AudioError, AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::{Device, ParakeetModel};
use rnnt_decode::{FrameClock, Hypothesis, SearchRules, Token, words};
use segmenter::{ChunkRules, Segment, SegmentRules, plan_chunks, segment, stitch};

use crate::hearing::{Hearing, Network};
use crate::in_order::InOrder;
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
    /// Length of the recording in seconds.
    pub duration_s: f64,
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

/// Brings recordings, and takes their transcripts.
pub trait Client {
    /// The next recording, if one is at hand, with a number higher than that of any before.
    fn next(&mut self) -> Option<(usize, Source)>;

    /// Told before each batch what was done so far; the work ends early if it breaks.
    fn proceed(&mut self, stats: &Stats) -> ControlFlow<()>;

    /// Whether a recording is still wanted, of which this share was heard, from 0 to 1; asked before each
    /// batch. One that is not is forgotten, and never delivered.
    fn wants(&mut self, number: usize, heard: f64) -> bool;

    /// Takes what became of a recording; the work ends early if it breaks.
    fn deliver(&mut self, number: usize, transcript: Result<Transcript, Error>) -> ControlFlow<()>;
}

impl Engine {
    /// Transcribes the recordings of a client until it has no more at hand: chunks of several of them in
    /// one batch, each recording delivered as soon as all of it is heard. One that fails is delivered as
    /// an error and costs the others nothing.
    ///
    /// Audio is decoded on threads of its own, far enough ahead that batches are full. At most four
    /// batches of the longest chunks wait in memory, on a GPU twelve, or two recordings, and the
    /// recordings they are cut from.
    pub fn transcribe(&self, client: &mut impl Client) -> Stats {
        let Settings {
            batch_size,
            audio_limits,
            chunk_rules,
            search_rules,
            ..
        } = &self.settings;
        let longest = chunk_rules.max_frames.get() * chunk_rules.stride.get();
        let n_together = Network::n_together(&self.model, *batch_size);
        let n_ahead = (4 * batch_size.get()).max(3 * n_together.get());
        let (decoder, arrivals) = read_ahead(n_ahead * longest);
        let mut stats = Stats {
            window: search_rules.window,
            ..Stats::default()
        };
        let begun = Instant::now();

        thread::scope(|scope| {
            for _ in 0..self.n_decoders() {
                let decoder = decoder.clone();
                scope.spawn(move || decoder.run(audio_limits));
            }
            let network = Network {
                model: &self.model,
                search_rules,
                batch_size: *batch_size,
            };
            let mut hearing = Hearing::new(&network, n_together, chunk_rules);
            // Owned in here: dropped on any way out, it lets the threads go.
            let mut arrivals = arrivals;
            let mut recordings = Recordings::default();
            loop {
                while let Some((number, source)) = client.next() {
                    arrivals.order(number, source);
                }
                // Waits for audio only while there is too little of it for a full batch.
                while arrivals.are_expected() {
                    let is_full = recordings.n_waiting() >= n_together.get();
                    let patience = if is_full { Duration::ZERO } else { PATIENCE };
                    let Some(loaded) = arrivals.next(patience) else {
                        break;
                    };
                    stats.audio_decode += loaded.took;
                    match loaded.waveform {
                        Ok(waveform) => {
                            stats.audio_s += waveform.duration_s();
                            let planning = Instant::now();
                            let chunks = plan_chunks(&waveform.samples, chunk_rules);
                            stats.plan += planning.elapsed();
                            let n_skipped = recordings.open(loaded.file, waveform, chunks);
                            arrivals.release(n_skipped);
                            stats.heard_s += seconds(n_skipped);
                            stats.held_s = stats.held_s.max(seconds(recordings.n_held()));
                        }
                        Err(why) => recordings.fail(loaded.file, why.into()),
                    }
                }

                if client.proceed(&stats).is_break() {
                    return;
                }
                for (number, share) in recordings.shares_done() {
                    if !client.wants(number, share) {
                        arrivals.release(recordings.forget(number));
                        arrivals.close();
                    }
                }
                let n_heard = hearing.step(&mut recordings, &mut stats);
                arrivals.release(n_heard.unwrap_or(0));
                stats.heard_s += seconds(n_heard.unwrap_or(0));

                let making_words = Instant::now();
                let mut n_delivered = 0;
                while let Some((number, heard)) = recordings.next_done() {
                    arrivals.close();
                    let transcript = heard.map(|heard| self.transcript(heard));
                    n_delivered += 1;
                    if client.deliver(number, transcript).is_break() {
                        return;
                    }
                }
                stats.words += making_words.elapsed();
                if n_heard.is_none() && n_delivered == 0 && !arrivals.are_expected() {
                    return;
                }
            }
        });
        stats.wall = begun.elapsed();
        stats
    }

    /// Transcribes a list of recordings and delivers them in its order; otherwise as
    /// [`transcribe`](Self::transcribe).
    pub fn transcribe_list(
        &self,
        sources: &[Source],
        proceed: impl FnMut(&Stats) -> ControlFlow<()>,
        deliver: impl FnMut(usize, Result<Transcript, Error>) -> ControlFlow<()>,
    ) -> Stats {
        self.transcribe(&mut InOrder::new(sources, proceed, deliver))
    }

    /// Threads that decode audio. A GPU hears faster than one thread decodes most formats; a CPU has the
    /// network on all of its cores.
    fn n_decoders(&self) -> usize {
        match self.model.device() {
            Device::Cuda => {
                thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2).min(4))
            }
            _ => 1,
        }
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
            duration_s: seconds(heard.n_samples),
            segments: segment(&words, &self.settings.segment_rules),
            tokens: hypothesis.tokens,
            warnings: heard.warnings,
        }
    }
}

/// How long a batch that is not full waits for the next recording to be decoded.
const PATIENCE: Duration = Duration::from_millis(200);

fn seconds(n_samples: usize) -> f64 {
    n_samples as f64 / f64::from(SAMPLE_RATE_HZ)
}
