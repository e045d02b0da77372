//! What cutting and joining long audio costs: `cargo bench -p segmenter`.
//!
//! Two hours, as the best of several runs: noise only ever adds, and a benchmark library would be built
//! for every run of the tests.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Instant;

use rnnt_decode::{Token, Vocabulary, Word};
use segmenter::{Chunk, ChunkRules, SegmentRules, plan_chunks, segment, stitch};

/// Samples per second.
const RATE: usize = 16_000;
const STRIDE: NonZeroUsize = NonZeroUsize::new(1280).expect("1280 is not 0");
const HOURS: usize = 2;
const N_RUNS: usize = 5;

fn main() {
    let audio = audio();
    report("plan_chunks", || {
        plan_chunks(black_box(&audio), &ChunkRules::default())
    });

    let vocabulary = Vocabulary::new(["▁a", "b"].map(String::from).into()).expect("it has text");
    let heard = heard();
    let mut copies = vec![heard; N_RUNS];
    report("stitch", || {
        let heard = copies.pop().expect("there is one for each run");
        stitch(heard, STRIDE, &vocabulary)
    });

    let words = words();
    report("segment", || {
        segment(black_box(&words), &SegmentRules::default())
    });
}

/// Noise with a pause of half a second in every seven.
fn audio() -> Vec<f32> {
    let sample = |n: usize| {
        let level = if n % (7 * RATE) < RATE / 2 {
            0.001
        } else {
            0.3
        };
        level * ((n * 7919 % 1999) as f32 / 999.5 - 1.0)
    };
    (0..HOURS * 3600 * RATE).map(sample).collect()
}

/// Chunks of 25 s, joined by hard cuts with two seconds of overlap, and a token on every third frame; all on
/// the encoder's grid.
fn heard() -> Vec<(Chunk, Vec<Token>)> {
    let (length, overlap) = (312 * STRIDE.get(), 25 * STRIDE.get());
    let n_samples = HOURS * 3600 * RATE;
    let chunk = |start: usize| {
        let heard = start.saturating_sub(overlap)..(start + length).min(n_samples);
        let frames = heard.start / STRIDE..heard.end / STRIDE;
        let tokens = frames.filter(|frame| frame.is_multiple_of(3));
        let token = |frame: usize| Token {
            id: u32::from(!frame.is_multiple_of(6)),
            frame,
            duration: 1,
            log_prob: -0.1,
        };
        let tokens = tokens.map(token).collect();
        let overlap = start - heard.start;
        let encoded = heard.clone();
        (
            Chunk {
                encoded,
                heard,
                overlap,
            },
            tokens,
        )
    };
    (0..n_samples).step_by(length).map(chunk).collect()
}

/// Three words a second, every tenth the last of a sentence.
fn words() -> Vec<Word> {
    let word = |n: usize| Word {
        text: if n % 10 == 9 { "end." } else { "word" }.to_owned(),
        start: n as f64 / 3.0,
        end: n as f64 / 3.0 + 0.2,
        confidence: None,
    };
    (0..HOURS * 3600 * 3).map(word).collect()
}

/// Prints the best time of several runs.
fn report<T>(what: &str, mut run: impl FnMut() -> T) {
    let time = |_| {
        let begun = Instant::now();
        black_box(run());
        begun.elapsed()
    };
    let best = (0..N_RUNS).map(time).min().unwrap_or_default();
    let milliseconds = best.as_secs_f64() * 1e3;
    println!("{what:12} {milliseconds:8.2} ms for {HOURS} hours");
}
