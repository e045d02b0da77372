//! What a run cost: the figures of `--stats`.

use std::fmt;
use std::time::Duration;

use dalston_engine_sdk::memory;
use rnnt_decode::{SearchStats, Window};

use crate::memory::MemoryPlan;

/// Times and counts of one run.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Loading the model.
    pub load: Duration,
    /// From the first recording to the last result, without loading the model.
    pub wall: Duration,
    /// Length of all recordings that could be loaded, in seconds.
    pub audio_s: f64,
    /// How much of it was heard or skipped as silence, in seconds.
    pub heard_s: f64,
    /// The most that open recordings held at once, in seconds.
    pub held_s: f64,
    /// What this should take of memory on a CPU.
    pub planned: Option<MemoryPlan>,
    /// Decoding audio, on a thread of its own.
    pub audio_decode: Duration,
    /// Finding the places where recordings are cut.
    pub plan: Duration,
    /// Log-mel and encoder; on a GPU beside the search.
    pub encode: Duration,
    /// Search: joint and predictor.
    pub search: Duration,
    /// Words, segments and printing.
    pub words: Duration,
    /// What went through the encoder together.
    pub batches: Batches,
    /// How many frames a lane scores per joint call.
    pub window: Window,
    /// The search's counts, over all batches.
    pub searched: SearchStats,
}

/// Batches of the encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batches {
    /// How many there were.
    pub n: usize,
    /// Chunks in all of them.
    pub n_chunks: usize,
    /// Chunks in the largest.
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
    /// The time of each step from a recording to its words.
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

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
        let ratio = |a: f64, b: f64| {
            if b > 0.0 {
                format!("{:.2}", a / b)
            } else {
                "-".to_owned()
            }
        };
        let Batches {
            n: n_calls,
            n_chunks,
            largest,
        } = self.batches;
        let searched = &self.searched;
        let joint_calls = searched.score_calls as f64;
        let window = match self.window {
            Window::Fixed(window) => format!("always {window}"),
            Window::Adaptive { .. } => "adapts to the rate of tokens".to_owned(),
        };

        let mut line = |name: &str, value: String| writeln!(f, "{name:22} {value}");
        line("model load", seconds(self.load))?;
        line("audio", format!("{:.2} s", self.audio_s))?;
        line("wall", seconds(self.wall))?;
        line("RTFx", ratio(self.audio_s, self.wall.as_secs_f64()))?;
        line(
            "  audio decode",
            seconds(self.audio_decode) + ", beside the rest",
        )?;
        line("  plan", seconds(self.plan))?;
        line("  encode", seconds(self.encode))?;
        line("  search", seconds(self.search))?;
        line("  words and output", seconds(self.words))?;
        line("batches", n_calls.to_string())?;
        line(
            "chunks per batch",
            format!(
                "{}, {largest} at most",
                ratio(n_chunks as f64, n_calls as f64)
            ),
        )?;
        line("tokens", searched.n_tokens.to_string())?;
        line("joint calls", searched.score_calls.to_string())?;
        line(
            "joint calls per token",
            ratio(joint_calls, searched.n_tokens as f64),
        )?;
        line(
            "frames per window",
            format!(
                "{}; {window}",
                ratio(searched.scored_frames as f64, searched.scored_lanes as f64)
            ),
        )?;
        line("predictor calls", searched.advance_calls.to_string())?;
        if let Some(planned) = self.planned {
            line("planned memory", planned.to_string())?;
        }
        match memory::peak_bytes() {
            Some(peak) => line("peak memory", format!("{} MiB", peak >> 20)),
            None => Ok(()),
        }
    }
}
