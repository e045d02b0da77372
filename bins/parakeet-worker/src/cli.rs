//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use parakeet_model::{ComputeType, Device};

use crate::language::is_language_code;
use crate::output::Format;

/// Speech to text with NVIDIA Parakeet: words with times and confidence.
#[derive(Debug, Parser)]
#[command(name = "parakeet-worker", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the worker can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Transcribe audio files.
    ///
    /// Results go to standard output in the order of the files, each as soon as it is ready; errors
    /// go to standard error and name the file. Exit code: 0 if all went well, 1 if some file failed
    /// (the others are printed) or the results could not be written, 2 if the call itself is wrong.
    /// SIGINT (Ctrl-C) and SIGTERM end the command with 130 and 143; standard error names the files
    /// whose results are missing. If the reader of a pipe closes it, the code is 141.
    Transcribe(TranscribeArgs),

    /// Work on Dalston's queue until SIGTERM.
    ///
    /// Takes its settings from the environment; docs/settings.md lists them.
    Run,

    /// Ask the worker of this machine for its health.
    ///
    /// Prints what it answers on DALSTON_METRICS_PORT. Exit code: 0 if it answers, else 1.
    Health,

    /// Print the generated part of engine.yaml.
    #[command(hide = true)]
    Schema,
}

/// Flags of `transcribe`.
#[derive(Debug, Args)]
pub struct TranscribeArgs {
    /// Audio files; `-` is standard input.
    ///
    /// WAV, FLAC, MP3, M4A/AAC, Ogg Vorbis, AIFF, CAF, Matroska; 8 to 192 kHz, 1 to 8 channels, up
    /// to two hours.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Model: a bundle's folder, or an id.
    ///
    /// An id is `nvidia/parakeet-rnnt-0.6b`, `parakeet-rnnt-0.6b` or `parakeet-0.6b`; its folder, with
    /// `/` written `--`, is looked for in DALSTON_MODEL_DIR, else in /models and ./models.
    /// [default: DALSTON_DEFAULT_MODEL, else nvidia/parakeet-rnnt-0.6b]
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,

    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Where the network runs; `auto` is the first GPU, or the CPU where there is none.
    #[arg(long, default_value = Device::Auto.name(), value_parser = devices())]
    pub device: Device,

    /// Number format of the network; `auto` is the fastest in the bundle that keeps the words.
    #[arg(long, value_name = "TYPE", default_value = ComputeType::Auto.name(), value_parser = compute_types())]
    pub compute_type: ComputeType,

    /// Language spoken, `auto` or a code such as `de`.
    ///
    /// It is the label of the transcript if the model hears several languages, and changes no word: a
    /// Parakeet cannot be told what to hear.
    #[arg(long, value_name = "CODE", value_parser = language_code)]
    pub language: Option<String>,

    /// Most chunks in one encoder batch, 1 to 32; the words do not depend on it.
    /// [default: 4 on a CPU; on a GPU what its memory holds, 128 at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub batch_size: Option<u8>,

    /// CPU threads of one network operation. [default: as many as this process may run at once]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Longest chunk encoded in one pass; longer audio is cut in a quiet place.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = at_least_one_second)]
    pub chunk_seconds: f64,

    /// Hear long silences too.
    ///
    /// By default the middle of a silence of 4 s and more is passed over, if it is digital or as even as
    /// nothing but a room is: 30 dB under the loudest of the file, and within 3 dB of its quietest.
    #[arg(long)]
    pub hear_silence: bool,

    /// Silence between two words that ends a segment.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.8, value_parser = positive)]
    pub segment_pause: f64,

    /// Longest segment; a longer one is cut at its widest gap.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = positive)]
    pub segment_length: f64,

    /// Do not end segments at `.`, `!` and `?`.
    #[arg(long)]
    pub ignore_punctuation: bool,

    /// Add the tokens to JSON output.
    ///
    /// "tokens": id, piece, first encoder frame (0.08 s each, counted from the start of the file),
    /// frames covered, and natural logarithm of the probability.
    #[arg(long)]
    pub tokens: bool,

    /// Print times, batches and search counts to standard error at the end.
    #[arg(long)]
    pub stats: bool,
}

fn devices() -> impl clap::builder::TypedValueParser<Value = Device> {
    PossibleValuesParser::new(Device::ALL.map(Device::name)).try_map(|name| name.parse::<Device>())
}

fn compute_types() -> impl clap::builder::TypedValueParser<Value = ComputeType> {
    PossibleValuesParser::new(ComputeType::ALL.map(ComputeType::name))
        .try_map(|name| name.parse::<ComputeType>())
}

fn language_code(text: &str) -> Result<String, String> {
    if is_language_code(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a code such as de or de-AT".to_owned())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 => Ok(seconds),
        _ => Err("expected a number of seconds above 0".to_owned()),
    }
}

fn at_least_one_second(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (1.0..=7200.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 1 to 7200".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
