//! Measures loudness, to find the borders where audio may be cut and the silences that are skipped.
//!
//! The loudness of a border is relative to the half minute around it, because speakers and microphones
//! change in the middle of a file. The silences to skip are relative to the whole file.

use std::num::NonZeroUsize;
use std::ops::Range;

/// Level of digital silence, in dB of full scale: a 16-bit sample of 1 lies at -90.3.
const SILENCE_DB: f32 = -90.0;

/// Frames of a block; a place is held against its own block and both neighbours. 10 s of Parakeet's.
const BLOCK: usize = 125;

/// Frames on each side of a place that weigh in, the nearest most: 0.4 s of Parakeet's.
const REACH: usize = 5;

/// How far under the loud frames around it a pause lies at least, in dB. Running speech seldom falls so
/// far for several frames, and noise at 10 dB is still under it.
const PAUSE_DEPTH_DB: f32 = 8.0;

/// The part of the way from the floor to the level that a pause may rise.
const PAUSE_HEIGHT: f32 = 0.4;

/// Frames on each side of a place that are compared for a step in loudness: 5 s of Parakeet's.
const STEP_REACH: usize = 62;

/// Steps up to this many dB are none: speech with its pauses varies by as much.
const LEAST_STEP_DB: f32 = 12.0;

/// From this many dB on, a step is as large as any.
const STEP_DB: f32 = 30.0;

/// Least distance in dB from floor to level by which loudness is judged.
const LEAST_RANGE_DB: f32 = 10.0;

/// What a skipped frame may rise above the quietest of the file, in dB: 80 ms of white noise vary by
/// 0.2 around their mean, and of a hundred thousand frames the extremes lie 2 dB apart.
const FLOOR_NOISE_DB: f32 = 3.0;

/// How far under the loudest frame of a file skipped frames lie.
const SKIP_DEPTH_DB: f32 = 30.0;

/// A border between two frames, where audio might be cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    /// From 0, as quiet as the quiet frames around, to 1, as loud as the loud ones.
    pub(crate) loudness: f32,
    /// Whether it lies in the middle of a pause.
    pub(crate) is_pause: bool,
    /// From 0, where what follows is about as loud as what went before, to 1, where one is 30 dB
    /// louder than the other.
    pub(crate) step: f32,
}

/// Every border of the frames with these levels, both ends of the file included.
pub(crate) fn places(levels: &[f32], pause_frames: usize) -> Vec<Place> {
    let mut heights = Vec::with_capacity(levels.len());
    let mut is_low = Vec::with_capacity(levels.len());
    for (block, frames) in levels.chunks(BLOCK).enumerate() {
        let around = block.saturating_sub(1) * BLOCK..levels.len().min((block + 2) * BLOCK);
        let (floor, level) = floor_and_level(&levels[around]);
        let range = level - floor;
        let limit = (floor + range * PAUSE_HEIGHT)
            .min(level - PAUSE_DEPTH_DB)
            .max(SILENCE_DB);
        let height = |db: &f32| ((db - floor) / range.max(LEAST_RANGE_DB)).clamp(0.0, 1.0);
        heights.extend(frames.iter().map(height));
        is_low.extend(frames.iter().map(|&db| db <= limit));
    }
    let sums = energy_sums(levels);
    let around = |at: usize, reach: usize| {
        at.saturating_sub(reach)..levels.len().min(at.saturating_add(reach))
    };
    let place = |at: usize| Place {
        loudness: loudness(&heights, at, around(at, REACH)),
        is_pause: is_low[around(at, pause_frames.div_ceil(2))]
            .iter()
            .all(|&is_low| is_low),
        step: step(&sums, at, around(at, STEP_REACH)),
    };
    (0..=levels.len()).map(place).collect()
}

/// The mean height of the frames around a border, the nearest weighing most.
fn loudness(heights: &[f32], at: usize, around: Range<usize>) -> f32 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (height, frame) in heights[around.clone()].iter().zip(around) {
        let weight = if frame < at {
            frame + 1 + REACH - at
        } else {
            at + REACH - frame
        };
        sum += weight as f32 * height;
        weights += weight as f32;
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// How much louder one side of a border is than the other, from the sums of the frames' energies.
fn step(sums: &[f64], at: usize, around: Range<usize>) -> f32 {
    let mean_db = |frames: Range<usize>| {
        let mean = (sums[frames.end] - sums[frames.start]) / frames.len().max(1) as f64;
        10.0 * mean.max(energy(SILENCE_DB)).log10()
    };
    let step_db = (mean_db(around.start..at) - mean_db(at..around.end)).abs() as f32;
    ((step_db - LEAST_STEP_DB) / (STEP_DB - LEAST_STEP_DB)).clamp(0.0, 1.0)
}

/// The energy of all frames before each border.
fn energy_sums(levels: &[f32]) -> Vec<f64> {
    let mut sums = vec![0.0];
    sums.extend(levels.iter().scan(0.0, |sum, &db| {
        *sum += energy(db);
        Some(*sum)
    }));
    sums
}

fn energy(db: f32) -> f64 {
    10f64.powf(f64::from(db) / 10.0)
}

/// The frames to search, in the order of time: all frames except the middle of each silence of at least
/// `skip_frames` frames. `margin` frames at both ends of a skipped silence are searched.
pub(crate) fn spans(
    levels: &[f32],
    skip_frames: Option<NonZeroUsize>,
    margin: usize,
) -> Vec<Range<usize>> {
    let whole = 0..levels.len();
    let Some(skip_frames) = skip_frames else {
        return vec![whole];
    };
    let quietest = levels.iter().copied().fold(f32::INFINITY, f32::min);
    let loudest = levels.iter().copied().fold(SILENCE_DB, f32::max);
    let limit = (quietest + FLOOR_NOISE_DB)
        .min(loudest - SKIP_DEPTH_DB)
        .max(SILENCE_DB);
    let mut spans = Vec::new();
    let (mut start, mut frame) = (0, 0);
    for run in levels.chunk_by(|a, b| (*a <= limit) == (*b <= limit)) {
        let end = frame + run.len();
        if run[0] <= limit && run.len() >= skip_frames.get() {
            // The margin keeps the edge of the speech beside a silence. A silence that touches the start
            // or the end of the file has no speech on that side, so it needs no margin there.
            let first = if frame == 0 { 0 } else { frame + margin };
            let last = if end == whole.end {
                end
            } else {
                end.saturating_sub(margin)
            };
            if first < last {
                spans.push(start..first);
                start = last;
            }
        }
        frame = end;
    }
    spans.push(start..whole.end);
    spans.retain(|span| !span.is_empty());
    spans
}

/// The level of each frame in dB, from [`SILENCE_DB`] up; never NaN.
pub(crate) fn levels(audio: &[f32], stride: usize) -> Vec<f32> {
    let level = |frame: &[f32]| {
        let db = 10.0 * (sum_of_squares(frame) / frame.len() as f64).log10();
        // Neither digital silence nor a sample that is no number has a logarithm.
        if db.is_nan() {
            SILENCE_DB
        } else {
            (db as f32).clamp(SILENCE_DB, -SILENCE_DB)
        }
    };
    audio.chunks(stride).map(level).collect()
}

/// Adds up the squares, in eight sums: the order of a single one would forbid vector instructions.
fn sum_of_squares(samples: &[f32]) -> f64 {
    let (eights, rest) = samples.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, &x) in sums.iter_mut().zip(eight) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rest = rest.iter().map(|&x| f64::from(x) * f64::from(x));
    sums.into_iter().chain(rest).sum()
}

/// What the quiet and the loud frames lie at: one in ten is quieter, one in ten louder.
fn floor_and_level(levels: &[f32]) -> (f32, f32) {
    let mut sorted = levels.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let tenth = sorted.len() / 10;
    (sorted[tenth], sorted[sorted.len() - 1 - tenth])
}
