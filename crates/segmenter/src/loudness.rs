//! Measures loudness, to find the borders where audio may be cut and the silences that are skipped.
//!
//! The loudness of a border is relative to the half minute around it, because speakers and microphones
//! change in the middle of a file. The silences to skip are relative to the whole file.

use std::num::NonZeroUsize;
use std::ops::Range;

/// Level of digital silence in dB of full scale. A 16-bit sample of 1 has -90.3 dB.
const SILENCE_DB: f32 = -90.0;

/// Frames of a block: 10 s for Parakeet. A frame is compared with its own block and the two neighbours.
const BLOCK: usize = 125;

/// Frames on each side of a border whose loudness counts, the nearest most: 0.4 s for Parakeet.
const REACH: usize = 5;

/// A pause is at least this many dB below the loud frames around it. Running speech seldom falls so far for
/// several frames. Noise 10 dB below the speech is still low enough to be a pause.
const PAUSE_DEPTH_DB: f32 = 8.0;

/// Highest level of a pause, as a share of the distance from the floor (0) to the level (1).
const PAUSE_HEIGHT: f32 = 0.4;

/// Frames on each side of a border that are compared for a step in loudness: 5 s for Parakeet.
const STEP_REACH: usize = 62;

/// Differences up to this many dB are no step: speech with pauses varies by as much.
const LEAST_STEP_DB: f32 = 12.0;

/// Differences from this many dB on all count as the largest step.
const STEP_DB: f32 = 30.0;

/// Least distance in dB between floor and level. Loudness is relative to that distance; without a least one,
/// steady noise would have loud and quiet frames.
const LEAST_RANGE_DB: f32 = 10.0;

/// A skipped frame is at most this many dB above the quietest frame of the file. The levels of 80 ms of white
/// noise vary by 0.2 dB around their mean, and the extremes of a hundred thousand frames lie 2 dB apart.
const FLOOR_NOISE_DB: f32 = 3.0;

/// A skipped frame is at least this many dB below the loudest frame of the file.
const SKIP_DEPTH_DB: f32 = 30.0;

/// A border between two frames, where audio may be cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Border {
    /// Loudness around the border: 0 is that of the quiet frames of the half minute around, 1 that of the
    /// loud frames.
    pub(crate) loudness: f32,
    /// Whether the border lies in a pause: half of the shortest pause is quiet on each side of it.
    pub(crate) is_pause: bool,
    /// Difference in loudness between the two sides of the border: 0 for about equal, 1 for 30 dB and more.
    pub(crate) step: f32,
}

/// All borders of frames with these levels, with the start and the end of the file.
pub(crate) fn borders(levels: &[f32], pause_frames: usize) -> Vec<Border> {
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
    let border = |at: usize| Border {
        loudness: loudness(&heights, at, around(at, REACH)),
        is_pause: is_low[around(at, pause_frames.div_ceil(2))]
            .iter()
            .all(|&is_low| is_low),
        step: step(&sums, at, around(at, STEP_REACH)),
    };
    (0..=levels.len()).map(border).collect()
}

/// The mean of the heights around a border. The weight of a frame falls with its distance from the border.
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

/// The difference in loudness between the two sides of a border; see [`Border::step`]. `sums` are the sums of
/// the frames' energies up to each border, so that the mean of any run of frames is one subtraction.
fn step(sums: &[f64], at: usize, around: Range<usize>) -> f32 {
    let mean_db = |frames: Range<usize>| {
        let mean = (sums[frames.end] - sums[frames.start]) / frames.len().max(1) as f64;
        10.0 * mean.max(energy(SILENCE_DB)).log10()
    };
    let step_db = (mean_db(around.start..at) - mean_db(at..around.end)).abs() as f32;
    ((step_db - LEAST_STEP_DB) / (STEP_DB - LEAST_STEP_DB)).clamp(0.0, 1.0)
}

/// The sum of the energies of all frames before each border.
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
            // The margin keeps the edge of the speech next to a silence. A silence that touches the start
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

/// The level of each frame in dB: at least [`SILENCE_DB`], and never NaN.
pub(crate) fn levels(audio: &[f32], stride: usize) -> Vec<f32> {
    let level = |frame: &[f32]| {
        let db = 10.0 * (sum_of_squares(frame) / frame.len() as f64).log10();
        // A frame with a NaN sample has no level, and is taken for silence. Digital silence has the level
        // -infinity, which `clamp` raises.
        if db.is_nan() {
            SILENCE_DB
        } else {
            (db as f32).clamp(SILENCE_DB, -SILENCE_DB)
        }
    };
    audio.chunks(stride).map(level).collect()
}

/// Sums the squares of samples. There are eight partial sums, because the compiler may not reorder the
/// additions of a single one, and so could not use vector instructions.
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

/// The floor and the level of frames: a tenth of the frames is quieter than the floor, a tenth louder than
/// the level.
fn floor_and_level(levels: &[f32]) -> (f32, f32) {
    let mut sorted = levels.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let tenth = sorted.len() / 10;
    (sorted[tenth], sorted[sorted.len() - 1 - tenth])
}
