//! The audio path, from files to segments, in one function: [`Engine::transcribe`].

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use dalston_engine_sdk::audio::{AudioError, AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::ParakeetModel;
use rnnt_decode::{FrameClock, Hypothesis, SearchRules, Token, search, words};
use segmenter::{ChunkRules, Segment, SegmentRules, plan_chunks, segment, stitch};

use crate::read_ahead::read_ahead;
use crate::recordings::Recordings;
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
    /// Most chunks in one encoder batch.
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
    /// batches of the longest chunks wait in memory, and the recordings they are cut from.
    pub fn transcribe(
        &self,
        sources: &[Source],
        mut proceed: impl FnMut(&Stats) -> ControlFlow<()>,
        mut deliver: impl FnMut(usize, Result<Transcript, Error>) -> ControlFlow<()>,
    ) -> Stats {
        let Settings {
            chunk_rules,
            segment_rules,
            ..
        } = &self.settings;
        let stride = chunk_rules.stride.get();
        let batch_size = self.settings.batch_size.get();
        let limit = 4 * batch_size * chunk_rules.max_frames.get() * stride;
        let (decoded, arrivals) = read_ahead(limit);
        let mut stats = Stats {
            window: self.settings.search_rules.window,
            ..Stats::default()
        };
        let begun = Instant::now();

        thread::scope(|scope| {
            scope.spawn(move || decoded.load_all(sources, &self.settings.audio_limits));
            // Owned in here: dropped on any way out, it lets the thread go.
            let arrivals = arrivals;
            let mut recordings = Recordings::default();
            loop {
                // Waits for audio only while there is too little of it for a full batch.
                while let Some(loaded) = arrivals.next(recordings.n_waiting() < batch_size) {
                    stats.audio_decode += loaded.took;
                    match loaded.waveform {
                        Ok(waveform) => {
                            stats.audio_s += waveform.duration_s();
                            let chunks = plan_chunks(&waveform.samples, chunk_rules);
                            recordings.open(loaded.file, waveform, chunks);
                        }
                        Err(why) => recordings.fail(loaded.file, why.into()),
                    }
                }

                if proceed(&stats).is_break() {
                    return;
                }
                let batch = recordings.take_batch(batch_size);
                let samples: Vec<_> = batch
                    .iter()
                    .map(|chunk| recordings.samples(chunk))
                    .collect();
                let hypotheses = self.hear(&samples, &mut stats);
                assert_eq!(hypotheses.len(), batch.len(), "every chunk has an answer");
                let n_samples = samples.iter().map(|samples| samples.len()).sum();
                arrivals.release(n_samples);
                stats.heard_s += n_samples as f64 / f64::from(SAMPLE_RATE_HZ);

                let making_words = Instant::now();
                for (chunk, hypothesis) in batch.iter().zip(hypotheses) {
                    let samples = chunk.samples.clone();
                    let clock = FrameClock {
                        stride,
                        sample_rate_hz: SAMPLE_RATE_HZ,
                        samples,
                    };
                    let heard = hypothesis.map(|mut hypothesis| {
                        let times = self.model.manifest().head.into();
                        let words = words(&hypothesis, self.model.vocabulary(), &clock, times);
                        for token in &mut hypothesis.tokens {
                            token.frame += chunk.samples.start / stride;
                        }
                        (words, hypothesis.tokens)
                    });
                    recordings.put(chunk, heard.map_err(Error::from));
                }
                while let Some((file, heard)) = recordings.next_done() {
                    let transcript = heard.map(|heard| Transcript {
                        segments: segment(&stitch(heard.words), segment_rules),
                        tokens: heard.tokens.concat(),
                        warnings: heard.warnings,
                    });
                    if deliver(file, transcript).is_break() {
                        return;
                    }
                }
                stats.words += making_words.elapsed();
                if batch.is_empty() {
                    return;
                }
            }
        });
        stats.wall = begun.elapsed();
        stats
    }

    /// Encodes and searches one batch. If it fails it is halved, until the chunk at fault is alone:
    /// so one recording cannot take others along, and a batch too large for the memory is done in
    /// parts.
    fn hear(
        &self,
        batch: &[&[f32]],
        stats: &mut Stats,
    ) -> Vec<Result<Hypothesis, parakeet_model::Error>> {
        let heard = match batch.len() {
            0 => return Vec::new(),
            _ => self.encode_and_search(batch, stats),
        };
        match heard {
            Ok(hypotheses) => hypotheses.into_iter().map(Ok).collect(),
            Err(why) if batch.len() == 1 => vec![Err(why)],
            Err(_) => {
                let (one, other) = batch.split_at(batch.len() / 2);
                let mut hypotheses = self.hear(one, stats);
                hypotheses.extend(self.hear(other, stats));
                hypotheses
            }
        }
    }

    fn encode_and_search(
        &self,
        batch: &[&[f32]],
        stats: &mut Stats,
    ) -> Result<Vec<Hypothesis>, parakeet_model::Error> {
        let begun = Instant::now();
        stats.batch_sizes.push(batch.len());
        let utterances = self.model.encode(batch);
        let encoded = Instant::now();
        stats.encode += encoded - begun;
        let found = search(&mut utterances?, &self.settings.search_rules);
        stats.search += encoded.elapsed();
        let found = found?;
        stats.searched += found.stats;
        Ok(found.hypotheses)
    }
}
