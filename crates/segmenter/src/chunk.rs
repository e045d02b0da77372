//! Plans the chunks of long audio.

use std::num::NonZeroUsize;
use std::ops::Range;

use crate::cuts::{Pads, cut};
use crate::loudness::{Place, levels, places, spans};

/// Part of the audio that is encoded in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The samples that are encoded, counted from the start of the file: those that are heard, and
    /// acoustic context around them.
    pub encoded: Range<usize>,
    /// The samples whose words the chunk gives.
    pub heard: Range<usize>,
    /// How many of the first heard samples are heard by the chunk before as well: 0 after a quiet
    /// cut, more after a hard one.
    pub overlap: usize,
}

/// Plans the chunks of a file.
///
/// In order, they hear `audio` from its first to its last sample. Where one ends the next begins: at a
/// *quiet* cut, in a pause, on the same sample; at a *hard* one, in running speech,
/// [`ChunkRules::overlap_frames`] before it; after a silence that is skipped, behind it. No chunk hears
/// nothing, none encodes more than [`ChunkRules::max_frames`], and all begin on the encoder's grid, so
/// that times of all chunks do. Audio that fits one chunk is one chunk, encoded and heard whole; no
/// audio is none.
///
/// Of all plans it is the one of least cost, summed over cuts (how loud it is around them, relative to
/// the half minute around; a hard cut costs 1 more, and where the loudness steps a cut costs up to a
/// half less) and over chunks (the square of their distance from [`ChunkRules::wanted_frames`],
/// relative to it). Time and memory grow with the length of the audio and no faster.
pub fn plan_chunks(audio: &[f32], rules: &ChunkRules) -> Vec<Chunk> {
    let grid = Grid::new(audio, rules);
    match grid.n_frames {
        0 => Vec::new(),
        n if n <= rules.max_frames.get() => vec![Chunk {
            encoded: 0..audio.len(),
            heard: 0..audio.len(),
            overlap: 0,
        }],
        _ => {
            let levels = levels(audio, grid.stride);
            let places = places(&levels, rules.pause_frames);
            let margin = rules.context_frames;
            let spans = spans(&levels, rules.skip_frames, margin);
            let plan = |span| grid.plan(&places, span, 0, rules);
            spans.into_iter().flat_map(plan).collect()
        }
    }
}

/// Plans a chunk anew by rules that allow less of it at once: the chunks hear together what it heard,
/// and join its neighbours as it did.
pub fn split_chunk(audio: &[f32], chunk: &Chunk, rules: &ChunkRules) -> Vec<Chunk> {
    let grid = Grid::new(audio, rules);
    let places = places(&levels(audio, grid.stride), rules.pause_frames);
    let span = chunk.heard.start / grid.stride..chunk.heard.end.div_ceil(grid.stride);
    grid.plan(&places, span, chunk.overlap, rules)
}

/// How audio is cut. Frames are encoder frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRules {
    /// Distance between encoder frames, in samples.
    pub stride: NonZeroUsize,
    /// Most frames that are encoded at once, context included.
    pub max_frames: NonZeroUsize,
    /// How many frames a chunk hears if there are pauses everywhere.
    pub wanted_frames: NonZeroUsize,
    /// Frames before and after the heard ones that the encoder sees; at most an eighth of
    /// [`ChunkRules::max_frames`] on each side is taken.
    pub context_frames: usize,
    /// Shortest pause, in frames, that is cut without overlap.
    pub pause_frames: usize,
    /// Frames that are heard twice at a cut outside of a pause; at most a quarter of
    /// [`ChunkRules::max_frames`] is taken.
    pub overlap_frames: usize,
    /// Shortest silence, in frames, of which the middle is neither encoded nor heard; `None` hears
    /// everything. Silence is digital silence, and what rises by at most 3 dB above the file's quietest
    /// frame if that lies 30 dB below its loudest: no speech is so even. The first and last
    /// [`ChunkRules::context_frames`] of it are heard.
    pub skip_frames: Option<NonZeroUsize>,
}

impl ChunkRules {
    /// The default rules for chunks of at most `max_frames` frames of `stride` samples.
    pub fn of_length(stride: NonZeroUsize, max_frames: NonZeroUsize) -> Self {
        Self {
            stride,
            max_frames,
            wanted_frames: NonZeroUsize::new(max_frames.get() * 2 / 3).unwrap_or(NonZeroUsize::MIN),
            context_frames: 10,
            pause_frames: 4,
            overlap_frames: 30,
            skip_frames: NonZeroUsize::new(50),
        }
    }
}

impl Default for ChunkRules {
    /// Chunks of at most 30 s at Parakeet's 16 kHz and 80 ms.
    fn default() -> Self {
        const STRIDE: NonZeroUsize = NonZeroUsize::new(1280).expect("1280 is not 0");
        const MAX_FRAMES: NonZeroUsize = NonZeroUsize::new(375).expect("375 is not 0");
        Self::of_length(STRIDE, MAX_FRAMES)
    }
}

/// A file in encoder frames; the last one may be cut off.
struct Grid {
    stride: usize,
    n_samples: usize,
    n_frames: usize,
}

impl Grid {
    fn new(audio: &[f32], rules: &ChunkRules) -> Self {
        let stride = rules.stride.get();
        Self {
            stride,
            n_samples: audio.len(),
            n_frames: audio.len().div_ceil(stride),
        }
    }

    /// Plans the chunks that hear `span`, of which the chunk before hears the first `overlap` samples.
    fn plan(
        &self,
        places: &[Place],
        span: Range<usize>,
        overlap: usize,
        rules: &ChunkRules,
    ) -> Vec<Chunk> {
        let pads = Pads::new(rules);
        let cuts = cut(places, &span, &pads, rules.wanted_frames.get());
        let mut covered = span.start * self.stride + overlap;
        let mut chunks: Vec<Chunk> = Vec::with_capacity(cuts.len());
        for edges in cuts.windows(2) {
            let [before, after] = [edges[0], edges[1]].map(|at| pads.overlap(places, &span, at));
            let heard =
                edges[0].saturating_sub(before).max(span.start)..(edges[1] + after).min(span.end);
            let encoded = heard.start.saturating_sub(pads.context)
                ..(heard.end + pads.context).min(self.n_frames);
            let heard = self.samples(&heard);
            // A chunk that splits another may lie where that one overlapped the one before.
            if heard.end > covered {
                chunks.push(Chunk {
                    encoded: self.samples(&encoded),
                    overlap: covered - heard.start,
                    heard: heard.clone(),
                });
                covered = heard.end;
            }
        }
        chunks
    }

    fn samples(&self, frames: &Range<usize>) -> Range<usize> {
        frames.start * self.stride..(frames.end * self.stride).min(self.n_samples)
    }
}
