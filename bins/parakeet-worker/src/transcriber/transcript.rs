//! The transcript of one recording, or the reason why there is none.

use dalston_engine_sdk::audio::AudioError;
use rnnt_decode::Token;
use segmenter::Segment;

/// The words of one recording, in segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// Length of the recording in seconds.
    pub duration_s: f64,
    /// Sentence-like runs of words, in order of time; empty if the recording has no words.
    pub segments: Vec<Segment>,
    /// The tokens of the words. Frames count from the start of the recording: every chunk starts on a whole
    /// encoder frame, so the frames of all chunks share one count.
    pub tokens: Vec<Token>,
    /// Defects of the audio that the decoder survived, one sentence each.
    pub warnings: Vec<String>,
}

impl Transcript {
    /// The texts of all segments, joined by spaces.
    pub fn text(&self) -> String {
        let texts: Vec<_> = self.segments.iter().map(|it| it.text.as_str()).collect();
        texts.join(" ")
    }
}

/// Why a recording has no transcript.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The audio could not be loaded.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The network failed.
    #[error(transparent)]
    Model(#[from] parakeet_model::Error),
}
