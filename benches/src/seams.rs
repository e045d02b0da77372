//! Work of `segmenter`: the cutting and joining of long audio, and its segments.

use std::hint::black_box;
use std::num::NonZeroUsize;

use rnnt_decode::{Token, Vocabulary, Word};
use segmenter::{Chunk, ChunkRules, SegmentRules, plan_chunks, segment, stitch};

use crate::Work;

/// Samples per second.
const RATE: usize = 16_000;
/// Samples from one encoder frame to the next.
const STRIDE: NonZeroUsize = NonZeroUsize::new(1280).expect("1280 is not 0");
/// Length of the recording in seconds.
const N_SECONDS: usize = 600;

/// Work on ten minutes of audio: planning its chunks, joining a copy of their tokens, and making segments.
pub(crate) static WORK: [Work; 3] = [
    Work {
        name: "plan_chunks",
        n_items: N_SECONDS,
        prepare: prepare_plan,
    },
    Work {
        name: "stitch",
        n_items: N_SECONDS,
        prepare: prepare_stitch,
    },
    Work {
        name: "segment",
        n_items: N_SECONDS,
        prepare: prepare_segment,
    },
];

fn prepare_plan() -> Box<dyn FnMut()> {
    let audio = audio();
    Box::new(move || {
        black_box(plan_chunks(black_box(&audio), &ChunkRules::default()));
    })
}

fn prepare_stitch() -> Box<dyn FnMut()> {
    let vocabulary = Vocabulary::new(["▁a", "b"].map(String::from).into()).expect("it has text");
    let chunks = searched_chunks();
    Box::new(move || {
        black_box(stitch(chunks.clone(), STRIDE, &vocabulary));
    })
}

fn prepare_segment() -> Box<dyn FnMut()> {
    let words = words();
    Box::new(move || {
        black_box(segment(black_box(&words), &SegmentRules::default()));
    })
}

/// Noise with a pause of half a second every seven seconds, and ten seconds of silence, which are skipped, in
/// every minute.
fn audio() -> Vec<f32> {
    let sample = |n: usize| {
        let level = match n / (RATE / 2) {
            0..100 if n % (7 * RATE) < RATE / 2 => 0.001,
            0..100 => 0.3,
            _ => 0.0,
        };
        level * ((n * 7919 % 1999) as f32 / 999.5 - 1.0)
    };
    let minute: Vec<f32> = (0..60 * RATE).map(sample).collect();
    minute.repeat(N_SECONDS / 60)
}

/// Chunks of 25 s, joined by hard cuts with two seconds of overlap, and a token on every third frame. All
/// chunks begin on the encoder's grid.
fn searched_chunks() -> Vec<(Chunk, Vec<Token>)> {
    let (length, overlap) = (312 * STRIDE.get(), 25 * STRIDE.get());
    let n_samples = N_SECONDS * RATE;
    let chunk = |start: usize| {
        let searched = start.saturating_sub(overlap)..(start + length).min(n_samples);
        let frames = searched.start / STRIDE..searched.end / STRIDE;
        let tokens = frames.filter(|frame| frame.is_multiple_of(3));
        let token = |frame: usize| Token {
            id: u32::from(!frame.is_multiple_of(6)),
            frame,
            duration: 1,
            log_prob: -0.1,
        };
        let tokens = tokens.map(token).collect();
        let overlap = start - searched.start;
        let encoded = searched.clone();
        (
            Chunk {
                encoded,
                searched,
                overlap,
            },
            tokens,
        )
    };
    (0..n_samples).step_by(length).map(chunk).collect()
}

/// Three words a second. Every tenth word ends a sentence.
fn words() -> Vec<Word> {
    let word = |n: usize| Word {
        text: if n % 10 == 9 { "end." } else { "word" }.to_owned(),
        start: n as f64 / 3.0,
        end: n as f64 / 3.0 + 0.2,
        confidence: None,
    };
    (0..N_SECONDS * 3).map(word).collect()
}
