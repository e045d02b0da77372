//! The report of `--stats`: counters, planned memory, and the peak that the system measured.

use std::fmt;
use std::time::Duration;

use dalston_engine_sdk::memory;
use rnnt_decode::Window;

use super::memory_plan::MemoryPlan;
use crate::transcriber::{Batches, Stats};

/// What one run of `transcribe` cost. Its `Display` is the report, one line per figure.
pub(super) struct Report<'a> {
    pub(super) stats: &'a Stats,
    /// Time that loading the model took.
    pub(super) load_time: Duration,
    /// `None` on a GPU.
    pub(super) planned: Option<MemoryPlan>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
        let ratio = |a: f64, b: f64| {
            if b > 0.0 {
                format!("{:.2}", a / b)
            } else {
                "-".to_owned()
            }
        };
        let stats = self.stats;
        let Batches {
            n: n_calls,
            n_chunks,
            largest,
        } = stats.batches;
        let searched = &stats.searched;
        let joint_calls = searched.score_calls as f64;
        let window = match stats.window {
            Window::Fixed(window) => format!("always {window}"),
            Window::Adaptive { .. } => "adapts to the rate of tokens".to_owned(),
        };

        let mut line = |name: &str, value: String| writeln!(f, "{name:22} {value}");
        line("model load", seconds(self.load_time))?;
        line("audio", format!("{:.2} s", stats.audio_s))?;
        line("wall", seconds(stats.wall))?;
        line("RTFx", ratio(stats.audio_s, stats.wall.as_secs_f64()))?;
        line(
            "  audio decode",
            seconds(stats.audio_decode) + ", beside the rest",
        )?;
        line("  plan", seconds(stats.plan))?;
        line("  encode", seconds(stats.encode))?;
        line("  search", seconds(stats.search))?;
        line("  words and output", seconds(stats.words))?;
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
