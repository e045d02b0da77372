//! Prints transcripts, and makes the transcript that the pipeline receives.
//!
//! Times are rounded to milliseconds here and nowhere else.

mod ctm;
mod json;
mod rounding;
mod subtitles;
mod wire;

use std::io::{self, Write};

use clap::ValueEnum;
use parakeet_model::ParakeetModel;

use crate::printable::printable;
use crate::transcriber::Transcript;

pub(crate) use wire::{Label, wire};

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
pub(crate) struct Printer<'a> {
    /// The format.
    pub(crate) format: Format,
    /// The model that made the transcripts: JSON shows its head and the pieces of its vocabulary.
    pub(crate) model: &'a ParakeetModel,
    /// The language label of the transcripts.
    pub(crate) language: &'a str,
    /// Whether JSON lists the tokens.
    pub(crate) with_tokens: bool,
    /// Whether a line of text begins with the file's name.
    pub(crate) with_name: bool,
}

impl Printer<'_> {
    /// Prints the transcript of the file called `name`.
    ///
    /// # Errors
    ///
    /// The errors of `out`.
    pub(crate) fn print(
        &self,
        out: &mut impl Write,
        name: &str,
        transcript: &Transcript,
    ) -> io::Result<()> {
        match self.format {
            Format::Text if self.with_name => {
                writeln!(out, "{}: {}", printable(name), transcript.text())
            }
            Format::Text => writeln!(out, "{}", transcript.text()),
            Format::Json => {
                let tokens = self.with_tokens.then(|| self.model.vocabulary());
                let label = Label {
                    language: self.language,
                    head: self.model.manifest().head,
                };
                json::print(out, name, transcript, &label, tokens)
            }
            Format::Srt => subtitles::print_srt(out, &transcript.segments),
            Format::Vtt => subtitles::print_vtt(out, &transcript.segments),
            Format::Ctm => ctm::print(out, name, &transcript.segments),
        }
    }
}
