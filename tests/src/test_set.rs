//! The recordings of `tests/data`, with their words and with NeMo's tokens.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Deserializer;

use crate::project;

/// One recording of the test set, with the synthesiser's words and times.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The FLAC file.
    pub path: PathBuf,
    /// Length in seconds.
    pub duration: f64,
    /// The spoken words, in order.
    pub words: Vec<Spoken>,
    /// Whether the recording has no added noise.
    pub is_clean: bool,
}

/// One spoken word.
#[derive(Debug, Clone, Deserialize)]
pub struct Spoken {
    /// The text of the word.
    pub word: String,
    /// Seconds from the start of the file.
    pub start: f64,
    /// Seconds from the start of the file.
    pub end: f64,
}

/// NeMo's tokens of one recording, which was encoded alone and in one pass.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    /// Path from the root of the repository.
    pub file: String,
    /// Valid encoder frames.
    pub n_frames: usize,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Their encoder frames.
    pub frames: Vec<usize>,
    /// The steps at which another token is accepted.
    pub near_ties: Vec<NearTie>,
}

/// A joint step of NeMo whose two best scores differ by less than 1e-3.
#[derive(Debug, Clone, Deserialize)]
pub struct NearTie {
    /// The encoder frame.
    pub frame: usize,
    /// The number of tokens before the step.
    pub n_tokens: usize,
}

/// The 300 recordings of the test set, on which the tiny model was not trained.
pub fn test_set() -> Vec<Recording> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        n_samples: u32,
        words: Vec<Spoken>,
        noise: Option<String>,
    }
    let folder = project().join("tests/data/tiny-300");
    let truth = folder.join("truth.jsonl");
    let text = fs::read_to_string(truth).expect("the truth is part of the repository");
    let lines = Deserializer::from_str(&text).into_iter::<Line>();
    let recording = |line: Result<Line, _>| {
        let Line {
            id,
            n_samples,
            words,
            noise,
        } = line.expect("every line of the truth has id, n_samples and words");
        Recording {
            path: folder.join(id).with_extension("flac"),
            duration: f64::from(n_samples) / 16_000.0,
            words,
            is_clean: noise.is_none(),
        }
    };
    lines.map(recording).collect()
}

/// NeMo's tokens of all recordings, as `cargo xtask parity --write-goldens` wrote them.
pub fn goldens() -> Vec<Golden> {
    let path = project().join("tests/data/goldens/tokens.jsonl");
    let text = fs::read_to_string(path).expect("the goldens are part of the repository");
    let lines = Deserializer::from_str(&text).into_iter();
    lines
        .map(|line| line.expect("every line of the goldens is one"))
        .collect()
}
