//! Tokens, durations, words and confidence of every head are those of NeMo.
//!
//! `tests/data/goldens/random` holds a checkpoint of random weights for each head, shaped to emit on a third
//! of its frames, and the tokens and words that NeMo finds with it. `cargo xtask parity --write-goldens`
//! writes them.

#![allow(
    clippy::disallowed_methods,
    reason = "a test may panic where libtorch does"
)]

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use dalston_engine_sdk::audio::{self, AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::{ComputeType, Device, ParakeetModel, set_threads};
use rnnt_decode::{FrameClock, Head, SearchRules, TokenTimes, Word, search, words};
use serde::Deserialize;
use serde_json::Deserializer;

/// Of a probability: float noise, where NeMo sums in another order.
const CONFIDENCE_TOLERANCE: f64 = 1e-4;

/// Seconds: times are whole encoder frames, or the end of the audio.
const TIME_TOLERANCE: f64 = 1e-6;

/// NeMo's result for one recording; see `xtask/python/parity/goldens.py`.
#[derive(Deserialize)]
struct Golden {
    file: String,
    n_frames: usize,
    tokens: Vec<u32>,
    frames: Vec<usize>,
    durations: Vec<u32>,
    confidences: Vec<f64>,
    words: Vec<GoldenWord>,
    /// CTC: the words by NeMo's own rule.
    touching_words: Vec<GoldenWord>,
    near_ties: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct GoldenWord {
    text: String,
    start: f64,
    end: f64,
    confidence: f64,
}

#[test]
fn an_rnnt_hears_what_nemo_hears() {
    check("golden-rnnt", Head::Rnnt);
}

#[test]
fn a_tdt_hears_what_nemo_hears() {
    check("golden-tdt", Head::Tdt);
}

#[test]
fn a_ctc_hears_what_nemo_hears() {
    check("golden-ctc", Head::Ctc);
}

#[track_caller]
fn check(name: &str, head: Head) {
    set_threads(NonZeroUsize::new(1));
    let model = ParakeetModel::load(&export(name), Device::Cpu, ComputeType::Float32)
        .expect("the bundle is whole");
    assert_eq!(model.manifest().head, head);
    // Another processor may order a near tie the other way.
    let mut goldens = goldens(name);
    goldens.retain(|golden| golden.near_ties.is_empty());
    let n_tokens: usize = goldens.iter().map(|golden| golden.tokens.len()).sum();
    assert!(n_tokens > 100, "{n_tokens} golden tokens compare nothing");
    for golden in &goldens {
        check_recording(&model, golden, head);
    }
}

#[track_caller]
fn check_recording(model: &ParakeetModel, golden: &Golden, head: Head) {
    let file = &golden.file;
    let waveform = audio::load(root().join(file), &AudioLimits::default());
    let samples = waveform
        .unwrap_or_else(|why| panic!("{file}: {why}"))
        .samples;
    let mut utterances = model.encode(&[&samples]).expect("the batch is encoded");
    let found = search(&mut utterances, &SearchRules::default()).expect("the batch is searched");
    let hypothesis = &found.hypotheses[0];

    let expected = golden
        .tokens
        .iter()
        .zip(&golden.frames)
        .zip(&golden.durations);
    let expected: Vec<_> = expected
        .map(|((id, frame), duration)| (*id, *frame, *duration))
        .collect();
    let steps = hypothesis
        .tokens
        .iter()
        .map(|it| (it.id, it.frame, it.duration));
    assert_eq!(
        steps.collect::<Vec<_>>(),
        expected,
        "(token, frame, duration) of {file}"
    );
    assert!(
        hypothesis
            .tokens
            .iter()
            .all(|token| token.frame < golden.n_frames)
    );

    let n_symbols = f64::from(model.vocabulary().blank()) + 1.0;
    for (token, expected) in hypothesis.tokens.iter().zip(&golden.confidences) {
        let probability = f64::from(token.log_prob).exp();
        let confidence = (probability * n_symbols - 1.0) / (n_symbols - 1.0);
        assert!(
            (confidence - expected).abs() < CONFIDENCE_TOLERANCE,
            "{file}, frame {}: confidence {confidence}, expected {expected}",
            token.frame
        );
    }

    let clock = FrameClock {
        stride: model.manifest().stride_samples(),
        sample_rate_hz: SAMPLE_RATE_HZ,
        samples: 0..samples.len(),
    };
    let timed = |times| words(hypothesis, model.vocabulary(), &clock, times);
    check_words(file, &timed(head.into()), &golden.words);
    if head == Head::Ctc {
        check_words(file, &timed(TokenTimes::NemoCtc), &golden.touching_words);
    }
}

#[track_caller]
fn check_words(file: &str, actual: &[Word], expected: &[GoldenWord]) {
    let texts: Vec<_> = actual.iter().map(|word| word.text.as_str()).collect();
    let expected_texts: Vec<_> = expected.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, expected_texts, "words of {file}");
    for (actual, expected) in actual.iter().zip(expected) {
        assert!(
            (actual.start - expected.start).abs() < TIME_TOLERANCE
                && (actual.end - expected.end).abs() < TIME_TOLERANCE,
            "{file}: {actual:?}, expected {} to {} s",
            expected.start,
            expected.end
        );
        let confidence = actual.confidence.expect("the network gives probabilities");
        assert!(
            (f64::from(confidence) - expected.confidence).abs() < CONFIDENCE_TOLERANCE,
            "{file}: {actual:?}, expected confidence {}",
            expected.confidence
        );
    }
}

fn goldens(name: &str) -> Vec<Golden> {
    let path = folder().join(name).with_extension("jsonl");
    let text = fs::read_to_string(path).expect("the goldens are part of the repository");
    let lines = Deserializer::from_str(&text).into_iter();
    lines
        .map(|line| line.expect("every line of the goldens is one"))
        .collect()
}

/// Exports the checkpoint, and returns the bundle's folder.
///
/// # Panics
///
/// If the exporter fails: a test that cannot run must not look as if it had passed.
fn export(name: &str) -> PathBuf {
    let bundle = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut exporter = Command::new(root().join(".venv/bin/python"));
    exporter
        .current_dir(root())
        .env("PYTHONPATH", "xtask/python")
        .args(["-W", "ignore", "-m", "exporter.export"])
        .arg(folder().join(name).with_extension("nemo"))
        .arg("--out")
        .arg(&bundle);
    let output = exporter
        .output()
        .unwrap_or_else(|why| panic!("{exporter:?}: {why}; `cargo xtask setup` installs it"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{exporter:?}: {stderr}");
    bundle
}

fn folder() -> PathBuf {
    root().join("tests/data/goldens/random")
}

/// The root of the repository.
fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent);
    root.expect("the crate lies two folders below the root")
}
