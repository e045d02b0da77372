//! The audio path, top to bottom: from audio files to segments of words.
//!
//! | function | calls | crate |
//! |---|---|---|
//! | [`Transcriber::transcribe`] | `load`, on threads of their own: file -> samples | dalston-engine-sdk |
//! | `AudioPath::admit` | `plan_chunks`: samples -> chunks | segmenter |
//! | `AudioPath::run_batch` | `encode`: chunks -> encoder frames | parakeet-model |
//! | `AudioPath::run_batch` | `search`: encoder frames -> tokens of chunks | rnnt-decode |
//! | `AudioPath::finish` | `stitch`: tokens of chunks -> tokens of the recording | segmenter |
//! | `AudioPath::finish` | `words`: tokens -> words with times | rnnt-decode |
//! | `AudioPath::finish` | `segment`: words -> segments | segmenter |
//!
//! Between the steps: `prefetch` bounds the audio that is decoded ahead, `chunk_queue` holds the chunks that
//! wait, `scheduler` forms batches and handles their failures, `recognizer` runs the model.

mod chunk_queue;
mod client;
mod counters;
mod prefetch;
mod recognizer;
mod scheduler;
mod transcript;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::SAMPLE_RATE_HZ;
use parakeet_model::{Device, ParakeetModel};
use rnnt_decode::{FrameClock, Hypothesis, words};
use segmenter::{SegmentRules, plan_chunks, segment, stitch};

use crate::settings::Settings;
use chunk_queue::{ChunkQueue, RecordingTokens};
use prefetch::{Loaded, Prefetcher, prefetch};
use recognizer::ModelRecognizer;
use scheduler::BatchScheduler;

pub use client::Client;
pub use counters::{Batches, Stats};
pub use transcript::{Error, Transcript};

/// A loaded model and the settings by which it transcribes.
pub struct Transcriber {
    /// The model. Whoever keeps models loaded shares it.
    pub model: Arc<ParakeetModel>,
    /// The settings.
    pub settings: Settings,
}

impl Transcriber {
    /// Transcribes the recordings of a client until it has none ready. Chunks of several recordings share a
    /// batch. Each recording is delivered as soon as its last chunk is searched; one that fails is delivered
    /// as an error and costs the others nothing.
    ///
    /// Audio is decoded in parallel, far enough ahead that batches are full. Audio decoding pauses while at
    /// least two recordings wait to be searched whose samples fill four encoder batches of the longest chunks,
    /// on a GPU twelve.
    pub fn transcribe(&self, client: &mut impl Client) -> Stats {
        let settings = &self.settings;
        let size = ModelRecognizer::search_batch_size(&self.model, settings.batch_size);
        let recognizer = ModelRecognizer {
            model: &self.model,
            search_rules: &settings.search_rules,
            batch_size: settings.batch_size,
        };
        let longest = settings.chunk_rules.max_frames.get() * settings.chunk_rules.stride.get();
        let n_chunks_ahead = (4 * settings.batch_size.get()).max(3 * size.get());
        let (decoder, prefetcher) = prefetch(n_chunks_ahead * longest);
        let begun = Instant::now();
        let mut stats = thread::scope(|scope| {
            for _ in 0..self.n_audio_decoders() {
                let decoder = decoder.clone();
                scope.spawn(move || decoder.run(|source| source.load(&settings.audio_limits)));
            }
            // The prefetcher moves into this closure, so every way out of it, a panic included, drops it.
            // That ends the audio decoders, for which the scope waits.
            let mut path = AudioPath {
                transcriber: self,
                prefetcher,
                queue: ChunkQueue::default(),
                scheduler: BatchScheduler::new(&recognizer, size, &settings.chunk_rules),
                search_batch_size: size.get(),
                stats: Stats {
                    window: settings.search_rules.window,
                    ..Stats::default()
                },
            };
            // `Break` and `Continue` both end the run here.
            let _ = path.run(client);
            path.stats
        });
        stats.wall = begun.elapsed();
        stats
    }
}

/// What one call of [`Transcriber::transcribe`] works with, in the order in which a recording passes it.
struct AudioPath<'a> {
    transcriber: &'a Transcriber,
    prefetcher: Prefetcher,
    queue: ChunkQueue,
    scheduler: BatchScheduler<'a, ModelRecognizer<'a>>,
    search_batch_size: usize,
    stats: Stats,
}

impl AudioPath<'_> {
    /// Runs until the client has no recording left, or breaks.
    fn run(&mut self, client: &mut impl Client) -> ControlFlow<()> {
        loop {
            self.admit(client)?;
            let has_run = self.run_batch();
            let n_delivered = self.finish(client)?;
            // The client may have a new recording once one is delivered, so a delivery is worth another turn.
            if !has_run && n_delivered == 0 && !self.prefetcher.has_pending() {
                return ControlFlow::Continue(());
            }
        }
    }

    /// Requests the client's new recordings, and cuts the decoded ones into chunks.
    fn admit(&mut self, client: &mut impl Client) -> ControlFlow<()> {
        while let Some((number, source)) = client.next() {
            self.prefetcher.request(number, source);
        }
        while let Some(loaded) = self.receive() {
            self.stats.audio_decode += loaded.took;
            match loaded.waveform {
                Ok(waveform) => {
                    let begun = Instant::now();
                    let rules = &self.transcriber.settings.chunk_rules;
                    let chunks = plan_chunks(&waveform.samples, rules);
                    self.stats.plan += begun.elapsed();
                    self.stats.audio_s += waveform.duration_s();
                    self.queue.add(loaded.number, waveform, chunks);
                }
                Err(why) => self.queue.fail(loaded.number, why.into()),
            }
        }
        self.consult(client)
    }

    /// Encodes and searches one batch of chunks; false if no chunk waits. On a GPU the batch was encoded while
    /// the one before it was searched.
    fn run_batch(&mut self) -> bool {
        let (queue, stats) = (&mut self.queue, &mut self.stats);
        let Some(batch) = self.scheduler.encode(queue, stats) else {
            return false;
        };
        self.scheduler.search(batch, queue, stats);
        stats.recognized_s = seconds(queue.n_recognized_samples());
        true
    }

    /// Delivers the recordings whose last chunk is searched, and returns their number.
    fn finish(&mut self, client: &mut impl Client) -> ControlFlow<(), usize> {
        let begun = Instant::now();
        let mut n_delivered = 0;
        while let Some((number, tokens)) = self.queue.next_done() {
            let transcript = tokens.map(|tokens| {
                let rules = client.segment_rules(number);
                self.transcriber.transcript(tokens, &rules)
            });
            n_delivered += 1;
            client.deliver(number, transcript)?;
        }
        self.stats.words += begun.elapsed();
        ControlFlow::Continue(n_delivered)
    }
}

impl Transcriber {
    /// Joins the tokens of a recording's chunks, and makes words and segments of them.
    fn transcript(&self, recording: RecordingTokens, rules: &SegmentRules) -> Transcript {
        let stride = self.settings.chunk_rules.stride;
        let vocabulary = self.model.vocabulary();
        let tokens = stitch(recording.chunks, stride, vocabulary);
        let hypothesis = Hypothesis { tokens };
        let clock = FrameClock {
            stride: stride.get(),
            sample_rate_hz: SAMPLE_RATE_HZ,
            samples: 0..recording.n_samples,
        };
        let times = self.model.manifest().head.into();
        let words = words(&hypothesis, vocabulary, &clock, times);
        Transcript {
            duration_s: seconds(recording.n_samples),
            segments: segment(&words, rules),
            tokens: hypothesis.tokens,
            warnings: recording.warnings,
        }
    }

    /// Threads that decode audio. A GPU recognises faster than one thread decodes most formats. On a CPU the
    /// network has every core, and a second decoder would only take time from it.
    fn n_audio_decoders(&self) -> usize {
        match self.model.device() {
            Device::Cuda => {
                thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2).min(4))
            }
            _ => 1,
        }
    }
}

impl AudioPath<'_> {
    /// The next decoded recording. Waits for it only while a search batch would not be full. `None` if no
    /// recording is requested or none comes in time.
    fn receive(&mut self) -> Option<Loaded> {
        let held_s = seconds(self.queue.n_held_samples());
        self.stats.held_s = self.stats.held_s.max(held_s);
        if !self.prefetcher.has_pending() {
            return None;
        }
        // Before every wait: an audio decoder may be waiting for the room of chunks that were searched, or
        // of silence that was skipped, since the last one.
        let n_unsearched = self.queue.n_unsearched_samples();
        self.prefetcher.set_held(n_unsearched, self.queue.n_open());
        let is_full = self.queue.n_waiting() >= self.search_batch_size;
        let timeout = match is_full {
            true => Duration::ZERO,
            false => BATCH_FILL_TIMEOUT,
        };
        self.prefetcher.receive(timeout)
    }

    /// Tells the client the progress, and drops the recordings that it no longer wants.
    fn consult(&mut self, client: &mut impl Client) -> ControlFlow<()> {
        self.stats.recognized_s = seconds(self.queue.n_recognized_samples());
        client.proceed(&self.stats)?;
        for (number, searched) in self.queue.shares_done() {
            if !client.wants(number, searched) {
                self.queue.forget(number);
            }
        }
        ControlFlow::Continue(())
    }
}

/// How long a batch that is not full waits for the next recording to be decoded. Long enough for most files,
/// and short against the encoding of a batch that would be half empty.
const BATCH_FILL_TIMEOUT: Duration = Duration::from_millis(200);

fn seconds(n_samples: usize) -> f64 {
    n_samples as f64 / f64::from(SAMPLE_RATE_HZ)
}
