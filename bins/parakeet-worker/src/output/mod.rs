//! Prints transcripts. Seconds are rounded to milliseconds here, and nowhere else.

mod ctm;
mod json;
mod subtitles;
mod wire;

use std::io::{self, Write};

use clap::ValueEnum;
use parakeet_model::ParakeetModel;

use crate::engine::Transcript;

pub use wire::{Label, wire};

/// How a transcript is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per file; with several files, each line begins with `FILE: `
    Text,
    /// One JSON object per line and file: text, segments, words with times and confidence
    Json,
    /// SubRip subtitles; cues are numbered from 1 in every file
    Srt,
    /// WebVTT subtitles; every file begins with its own header
    Vtt,
    /// One line per word: file name without extension, channel 1, start, duration, word, confidence
    Ctm,
}

/// Prints transcripts in one format.
pub struct Printer<'a> {
    /// The format.
    pub format: Format,
    /// The model that made them: its head, and the pieces of its tokens.
    pub model: &'a ParakeetModel,
    /// The language they are labelled with.
    pub language: &'a str,
    /// Whether JSON lists the tokens.
    pub with_tokens: bool,
    /// Whether a line of text begins with the file's name.
    pub with_name: bool,
}

impl Printer<'_> {
    /// Prints the transcript of the file called `name`.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn print(
        &self,
        out: &mut impl Write,
        name: &str,
        transcript: &Transcript,
    ) -> io::Result<()> {
        match self.format {
            Format::Text if self.with_name => writeln!(out, "{name}: {}", text(transcript)),
            Format::Text => writeln!(out, "{}", text(transcript)),
            Format::Json => {
                let tokens = self.with_tokens.then(|| self.model.vocabulary());
                let label = json::Label {
                    file: name,
                    language: self.language,
                    head: self.model.manifest().head,
                };
                json::print(out, &label, transcript, tokens)
            }
            Format::Srt => subtitles::print_srt(out, &transcript.segments),
            Format::Vtt => subtitles::print_vtt(out, &transcript.segments),
            Format::Ctm => ctm::print(out, name, &transcript.segments),
        }
    }
}

/// The text of all segments, with a space between.
fn text(transcript: &Transcript) -> String {
    let texts: Vec<_> = transcript
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    texts.join(" ")
}

/// Whole milliseconds of a time that is not negative. Rounding keeps the order of times.
fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// A time in whole milliseconds, as seconds.
fn rounded(seconds: f64) -> f64 {
    ms(seconds) as f64 / 1000.0
}

/// Four digits: float32 holds seven, and the difference between batches is in the sixth.
fn rounded_confidence(confidence: f64) -> f64 {
    (confidence * 1e4).round() / 1e4
}
