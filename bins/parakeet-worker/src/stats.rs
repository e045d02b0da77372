//! What a run cost: the figures of `--stats`.

use std::fmt;
use std::time::Duration;

use rnnt_decode::SearchStats;

/// Times and counts of one run.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Loading the model.
    pub load: Duration,
    /// From the first recording to the last result, without loading the model.
    pub wall: Duration,
    /// Length of all recordings that could be loaded, in seconds.
    pub audio_s: f64,
    /// Decoding audio, on a thread of its own.
    pub audio_decode: Duration,
    /// Log-mel and encoder.
    pub encode: Duration,
    /// Search: joint and predictor.
    pub search: Duration,
    /// Words, segments and printing.
    pub words: Duration,
    /// Chunks of each encoder call.
    pub batch_sizes: Vec<usize>,
    /// The search's counts, over all batches.
    pub searched: SearchStats,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |duration: Duration| duration.as_secs_f64();
        let ratio =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let n_calls = self.batch_sizes.len();
        let n_chunks: usize = self.batch_sizes.iter().sum();
        let searched = &self.searched;

        writeln!(f, "model load             {:8.2} s", seconds(self.load))?;
        writeln!(f, "audio                  {:8.2} s", self.audio_s)?;
        writeln!(f, "wall                   {:8.2} s", seconds(self.wall))?;
        writeln!(
            f,
            "RTFx                   {:8.1}",
            self.audio_s / seconds(self.wall)
        )?;
        writeln!(
            f,
            "  audio decode         {:8.2} s, beside the rest",
            seconds(self.audio_decode)
        )?;
        writeln!(f, "  encode               {:8.2} s", seconds(self.encode))?;
        writeln!(f, "  search               {:8.2} s", seconds(self.search))?;
        writeln!(f, "  words and output     {:8.2} s", seconds(self.words))?;
        writeln!(f, "encoder calls          {n_calls:8}")?;
        writeln!(
            f,
            "chunks per call        {:>8}, {} at most",
            ratio((n_calls > 0).then(|| n_chunks as f64 / n_calls as f64)),
            self.batch_sizes.iter().max().unwrap_or(&0)
        )?;
        writeln!(f, "tokens                 {:8}", searched.n_tokens)?;
        writeln!(f, "joint calls            {:8}", searched.score_calls)?;
        writeln!(
            f,
            "joint calls per token  {:>8}",
            ratio(searched.score_calls_per_token())
        )?;
        writeln!(
            f,
            "frames per window      {:>8}, mean",
            ratio(searched.mean_window())
        )?;
        writeln!(f, "predictor calls        {:8}", searched.advance_calls)?;
        if let Some(peak) = peak_memory_mib() {
            writeln!(f, "peak memory            {peak:8} MiB")?;
        }
        Ok(())
    }
}

/// The most memory this process ever held; `None` where the system does not say.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024)
}
