//! Measures how fast a bundle turns samples in memory into words, and how much time each part takes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use benches::{ModelArguments, seconds};
use clap::Parser;
use dalston_engine_sdk::audio::{self, AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::ParakeetModel;
use rnnt_decode::{FrameClock, SearchRules, SearchStats, search, words};
use serde_json::{Value, json};

/// Measures audio seconds per second, from samples in host memory to words.
///
/// The recordings are joined, and utterances are cut from them at many places, over and over. Prints
/// one JSON object per batch size: figures of the median run, all times in seconds.
#[derive(Parser)]
struct Arguments {
    /// Recordings to take speech from.
    #[arg(required = true, value_name = "FILE")]
    recordings: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
    /// Utterances in one encoder batch; several sizes with commas between.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    batch: Vec<NonZeroUsize>,
    /// Encoder batches that are searched together; a worker takes four of them on a GPU.
    #[arg(long, default_value = "1")]
    together: NonZeroUsize,
    /// Length of the longest utterance.
    #[arg(long, default_value_t = 29.76)]
    seconds: f64,
    /// How much shorter the shortest is, as a share: 0 makes all as long; several with commas between.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    spread: Vec<f64>,
    /// Utterances of one run, for each utterance of a batch.
    #[arg(long, default_value_t = 4)]
    batches: usize,
    /// Runs, after one that warms up.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut speech = Vec::new();
    for path in &arguments.recordings {
        let waveform = audio::load(path, &AudioLimits::default());
        speech.extend(
            waveform
                .with_context(|| path.display().to_string())?
                .samples,
        );
    }
    let begun = Instant::now();
    let model = arguments.model.load()?;
    let load = begun.elapsed();
    for case in arguments.cases() {
        let count = case.batch.get() * arguments.batches;
        let utterances = cut(&speech, arguments.seconds, case.spread, count)?;
        // The first run is not measured: it also fills the allocators.
        run(&model, &utterances, case)?;
        model.device_memory();
        let mut runs = Vec::new();
        for _ in 0..arguments.runs.max(1) {
            runs.push(run(&model, &utterances, case)?);
        }
        runs.sort_by_key(|run| run.wall);
        let median = &runs[runs.len() / 2];
        println!("{}", median.report(&model, &arguments, case, load));
    }
    Ok(())
}

/// The sizes of one measurement, which is one line of the report.
#[derive(Clone, Copy)]
struct Case {
    /// Utterances in an encoder batch.
    batch: NonZeroUsize,
    /// Utterances in a search batch.
    lanes: NonZeroUsize,
    spread: f64,
}

impl Arguments {
    fn cases(&self) -> impl Iterator<Item = Case> {
        self.batch.iter().flat_map(move |&batch| {
            self.spread.iter().map(move |&spread| Case {
                batch,
                lanes: batch.saturating_mul(self.together),
                spread,
            })
        })
    }
}

/// Cuts utterances from speech, each at a different place. The longest come first, as in a worker.
fn cut(speech: &[f32], seconds: f64, spread: f64, count: usize) -> Result<Vec<&[f32]>> {
    let longest = (seconds * f64::from(SAMPLE_RATE_HZ)) as usize;
    ensure!(
        longest < speech.len(),
        "the recordings hold {} samples, expected more than {longest}",
        speech.len()
    );
    let utterance = |index: usize| {
        let share = spread * index as f64 / count as f64;
        let length = ((1.0 - share) * longest as f64) as usize;
        // A prime step, which shares no factor with most lengths, so that places hardly repeat.
        let start = index * 104_729 % (speech.len() - longest);
        &speech[start..start + length]
    };
    Ok((0..count).map(utterance).collect())
}

/// The times and counts of one run.
#[derive(Default)]
struct Run {
    wall: Duration,
    /// On a GPU this time overlaps with that of the search.
    encode: Duration,
    search: Duration,
    words: Duration,
    audio_s: f64,
    n_words: usize,
    searched: SearchStats,
}

fn run(
    model: &ParakeetModel,
    utterances: &[&[f32]],
    case: Case,
) -> Result<Run, parakeet_model::Error> {
    let begun = Instant::now();
    let mut run = Run::default();
    // As in a worker, a GPU encodes the next utterances while these utterances are searched.
    let mut groups = utterances.chunks(case.lanes.get()).peekable();
    let mut ahead = None;
    while let Some(now) = groups.next() {
        let encoding = match ahead.take() {
            Some(encoding) => encoding,
            None => model.begin_encoding(now, case.batch)?,
        };
        if model.device().is_gpu()
            && let Some(next) = groups.peek()
        {
            ahead = Some(model.begin_encoding(next, case.batch)?);
        }
        let (joined, took) = encoding.wait();
        let mut joined = joined?;
        run.encode += took;
        let searching = Instant::now();
        let rules = SearchRules {
            window: model.window(),
            ..SearchRules::default()
        };
        let found = search(&mut joined, &rules)?;
        run.search += searching.elapsed();
        run.searched += found.stats;
        let making = Instant::now();
        for (hypothesis, samples) in found.hypotheses.iter().zip(now) {
            let clock = FrameClock {
                stride: model.manifest().stride_samples(),
                sample_rate_hz: SAMPLE_RATE_HZ,
                samples: 0..samples.len(),
            };
            let times = model.manifest().head.into();
            run.n_words += words(hypothesis, model.vocabulary(), &clock, times).len();
            run.audio_s += samples.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        }
        run.words += making.elapsed();
    }
    run.wall = begun.elapsed();
    Ok(run)
}

impl Run {
    fn report(
        &self,
        model: &ParakeetModel,
        arguments: &Arguments,
        case: Case,
        load: Duration,
    ) -> Value {
        json!({
            "model": model.manifest().model_id,
            "device": model.device().name(),
            "compute_type": model.compute_type().name(),
            "batch": case.batch,
            "lanes": case.lanes,
            "utterance_s": arguments.seconds,
            "spread": case.spread,
            "rtfx": (self.audio_s / self.wall.as_secs_f64()).round(),
            "audio_s": self.audio_s.round(),
            "wall": seconds(self.wall),
            "encode": seconds(self.encode),
            "search": seconds(self.search),
            "words": seconds(self.words),
            "load": seconds(load),
            "n_tokens": self.searched.n_tokens,
            "n_words": self.n_words,
            "joint_calls": self.searched.score_calls,
            "predictor_calls": self.searched.advance_calls,
            "joint_calls_per_token": self.searched.score_calls_per_token(),
            "mean_window": self.searched.mean_window(),
            "peak_bytes": model.device_memory().map(|memory| memory.peak),
        })
    }
}
