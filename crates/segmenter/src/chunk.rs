//! Cuts long audio where it is quietest.

use std::num::NonZeroUsize;
use std::ops::Range;

/// Part of the audio that is encoded in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The samples whose words this chunk gives, counted from the start of the file.
    pub samples: Range<usize>,
}

/// Plans the chunks of a file.
///
/// They cover `audio` from its first to its last sample, each sample once, in order; none is empty
/// and none is longer than [`ChunkRules::max_frames`]. Every cut lies on the encoder's grid, so
/// that times of all chunks do. Audio that fits one chunk is one chunk; no audio is none.
///
/// A cut is made in the [`ChunkRules::search_frames`] before the limit, where the frames on both
/// sides of it together have the least energy; of equals, the latest.
pub fn plan_chunks(audio: &[f32], rules: &ChunkRules) -> Vec<Chunk> {
    let stride = rules.stride.get();
    let max_samples = rules.max_frames.get().saturating_mul(stride);
    let mut chunks = Vec::new();
    let mut start = 0;
    while audio.len() - start > max_samples {
        let end = start + quietest_cut(&audio[start..], rules) * stride;
        chunks.push(Chunk {
            samples: start..end,
        });
        start = end;
    }
    if start < audio.len() {
        chunks.push(Chunk {
            samples: start..audio.len(),
        });
    }
    chunks
}

/// Where audio may be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRules {
    /// Distance between encoder frames, in samples.
    pub stride: NonZeroUsize,
    /// Longest chunk, in encoder frames.
    pub max_frames: NonZeroUsize,
    /// How far before the limit a quiet place is looked for, in encoder frames. 0 cuts at the
    /// limit.
    pub search_frames: usize,
}

impl Default for ChunkRules {
    /// Chunks of at most 30 s, cut in their last 10 s, at Parakeet's 16 kHz and 80 ms.
    fn default() -> Self {
        Self {
            stride: const { NonZeroUsize::new(1280).expect("1280 is not 0") },
            max_frames: const { NonZeroUsize::new(375).expect("375 is not 0") },
            search_frames: 125,
        }
    }
}

/// Length of the next chunk in encoder frames, from 1 to the limit; `audio` is longer than that.
fn quietest_cut(audio: &[f32], rules: &ChunkRules) -> usize {
    let stride = rules.stride.get();
    let limit = rules.max_frames.get();
    let first = limit.saturating_sub(rules.search_frames).max(1);
    let energy = |cut: usize| {
        let end = audio.len().min((cut + 1) * stride);
        audio[(cut - 1) * stride..end]
            .iter()
            .map(|&x| f64::from(x).powi(2))
            .sum::<f64>()
    };
    let quieter = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
    let cuts = (first..=limit).rev().map(|cut| (cut, energy(cut)));
    cuts.min_by(quieter).map_or(limit, |(cut, _)| cut)
}
