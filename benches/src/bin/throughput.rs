//! How fast a bundle turns samples in memory into words, batch by batch, and where the time goes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use benches::{ModelArguments, seconds};
use clap::Parser;
use dalston_engine_sdk::audio::{self, AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::{ParakeetModel, Uploaded, Utterances};
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
    /// Utterances searched at once, if more than a batch.
    #[arg(long, default_value_t = 1)]
    lanes: usize,
    /// Length of the longest utterance.
    #[arg(long, default_value_t = 29.76)]
    seconds: f64,
    /// How much shorter the shortest is, as a share: 0 makes all as long.
    #[arg(long, default_value_t = 0.0)]
    spread: f64,
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
    for &batch in &arguments.batch {
        let utterances = cut(&speech, &arguments, batch.get() * arguments.batches)?;
        // The first one also fills the allocators.
        run(&model, &utterances, batch.get(), arguments.lanes)?;
        model.device_memory();
        let mut runs = Vec::new();
        for _ in 0..arguments.runs.max(1) {
            runs.push(run(&model, &utterances, batch.get(), arguments.lanes)?);
        }
        runs.sort_by_key(|run| run.wall);
        let median = &runs[runs.len() / 2];
        println!("{}", median.report(&model, &arguments, batch.get(), load));
    }
    Ok(())
}

/// Utterances of speech, each from another place, the longest first, as a worker sorts them.
fn cut<'a>(speech: &'a [f32], arguments: &Arguments, count: usize) -> Result<Vec<&'a [f32]>> {
    let longest = (arguments.seconds * f64::from(SAMPLE_RATE_HZ)) as usize;
    ensure!(
        longest < speech.len(),
        "the recordings hold {} samples, expected more than {longest}",
        speech.len()
    );
    let utterance = |index: usize| {
        let share = arguments.spread * index as f64 / count as f64;
        let length = ((1.0 - share) * longest as f64) as usize;
        // A step that shares no factor with most lengths.
        let start = index * 104_729 % (speech.len() - longest);
        &speech[start..start + length]
    };
    Ok((0..count).map(utterance).collect())
}

/// What one run took.
#[derive(Default)]
struct Run {
    wall: Duration,
    /// Queueing the encoder's work; on a CPU doing it.
    encode: Duration,
    /// The search, and on a GPU the wait for what was queued.
    search: Duration,
    words: Duration,
    audio_s: f64,
    n_words: usize,
    searched: SearchStats,
}

fn run(
    model: &ParakeetModel,
    utterances: &[&[f32]],
    batch: usize,
    lanes: usize,
) -> Result<Run, parakeet_model::Error> {
    let begun = Instant::now();
    let mut run = Run::default();
    thread::scope(|scope| {
        // Owned in here: dropped on any way out, it lets the thread go.
        let (uploaded, arrivals) = sync_channel::<Result<Uploaded, _>>(2);
        scope.spawn(move || {
            for batch in utterances.chunks(batch) {
                if uploaded.send(model.upload(batch)).is_err() {
                    return;
                }
            }
        });
        let mut rest = utterances;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(lanes.max(batch)));
            rest = later;
            let encoding = Instant::now();
            let batches = arrivals.iter().take(now.len().div_ceil(batch));
            let batches = batches.map(|audio| model.encode_uploaded(audio?));
            let mut joined = Utterances::join(batches.collect::<Result<_, _>>()?)?;
            let searching = Instant::now();
            run.encode += searching - encoding;
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
        Ok(())
    })?;
    run.wall = begun.elapsed();
    Ok(run)
}

impl Run {
    fn report(
        &self,
        model: &ParakeetModel,
        arguments: &Arguments,
        batch: usize,
        load: Duration,
    ) -> Value {
        json!({
            "model": model.manifest().model_id,
            "device": model.device().name(),
            "compute_type": model.compute_type().name(),
            "batch": batch,
            "lanes": arguments.lanes.max(batch),
            "utterance_s": arguments.seconds,
            "spread": arguments.spread,
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
