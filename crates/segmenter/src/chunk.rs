//! Plans the chunks of long audio.

use std::ops::Range;

use crate::chunk_rules::ChunkRules;
use crate::cuts::{Pads, cut};
use crate::loudness::{Border, borders, levels, spans};

/// Part of the audio that is encoded as one utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The samples that are encoded, counted from the start of the file: [`Chunk::searched`] and
    /// acoustic context around it.
    pub encoded: Range<usize>,
    /// The samples whose encoder frames are searched, counted from the start of the file. The chunk's
    /// tokens lie in this range.
    pub searched: Range<usize>,
    /// Number of samples at the start of [`Chunk::searched`] that the chunk before searches too: 0 after
    /// a quiet cut, more after a hard one.
    pub overlap: usize,
}

/// Plans the chunks of a file.
///
/// The chunks are in the order of time and cover `audio` from its first to its last sample, except for
/// skipped silences ([`ChunkRules::skip_frames`]). Three kinds of border separate a chunk from the next:
///
/// - A *quiet* cut lies in a pause. The next chunk begins on the sample where this one ends.
/// - A *hard* cut lies in running speech. The two chunks overlap by [`ChunkRules::overlap_frames`].
/// - At a skipped silence the next chunk begins behind the silence.
///
/// Every chunk searches at least one sample and encodes at most [`ChunkRules::max_frames`] frames. Every
/// chunk begins on the encoder's grid (a multiple of [`ChunkRules::stride`]), so that the frames of all
/// chunks have times on one grid. Audio of at most [`ChunkRules::max_frames`] frames is one chunk, encoded
/// and searched whole. Empty audio has no chunk.
///
/// The plan has the least cost of all plans. The cost is a sum over cuts and chunks:
///
/// - A cut costs the loudness around it, relative to the half minute around it. A hard cut costs 1 more.
///   A cut where the loudness steps costs up to a half less.
/// - A chunk costs the square of the difference between its length and [`ChunkRules::wanted_frames`],
///   relative to [`ChunkRules::wanted_frames`].
///
/// Time and memory are linear in the length of the audio.
pub fn plan_chunks(audio: &[f32], rules: &ChunkRules) -> Vec<Chunk> {
    let grid = Grid::new(audio, rules);
    match grid.n_frames {
        0 => Vec::new(),
        n if n <= rules.max_frames.get() => vec![Chunk {
            encoded: 0..audio.len(),
            searched: 0..audio.len(),
            overlap: 0,
        }],
        _ => {
            let levels = levels(audio, grid.stride);
            let borders = borders(&levels, rules.pause_frames);
            let margin = rules.context_frames;
            let spans = spans(&levels, rules.skip_frames, margin);
            let plan = |span| grid.plan(&borders, span, 0, rules);
            spans.into_iter().flat_map(plan).collect()
        }
    }
}

/// Splits a chunk that is too long for the memory at hand, by rules with a smaller
/// [`ChunkRules::max_frames`].
///
/// The new chunks together search the samples that `chunk` searches. The first one keeps the overlap of
/// `chunk`, so that the new chunks join the neighbours of `chunk` as `chunk` did.
pub fn split_chunk(audio: &[f32], chunk: &Chunk, rules: &ChunkRules) -> Vec<Chunk> {
    let grid = Grid::new(audio, rules);
    let borders = borders(&levels(audio, grid.stride), rules.pause_frames);
    let span = chunk.searched.start / grid.stride..chunk.searched.end.div_ceil(grid.stride);
    grid.plan(&borders, span, chunk.overlap, rules)
}

/// A file on the grid of encoder frames. Its last frame may have fewer than `stride` samples.
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

    /// Plans the chunks that search `span`. The chunk before `span` also searches its first `overlap`
    /// samples.
    fn plan(
        &self,
        borders: &[Border],
        span: Range<usize>,
        overlap: usize,
        rules: &ChunkRules,
    ) -> Vec<Chunk> {
        let pads = Pads::new(rules);
        let cuts = cut(borders, &span, &pads, rules.wanted_frames.get());
        let mut covered = span.start * self.stride + overlap;
        let mut chunks: Vec<Chunk> = Vec::with_capacity(cuts.len());
        for edges in cuts.windows(2) {
            let [before, after] = [edges[0], edges[1]].map(|at| pads.overlap(borders, &span, at));
            let searched =
                edges[0].saturating_sub(before).max(span.start)..(edges[1] + after).min(span.end);
            let encoded = searched.start.saturating_sub(pads.context)
                ..(searched.end + pads.context).min(self.n_frames);
            let searched = self.samples(&searched);
            // Chunks before this one searched all samples up to `covered`. When a chunk is split, a part
            // of it can lie wholly in its overlap with the chunk before: that part adds no sample.
            if searched.end > covered {
                chunks.push(Chunk {
                    encoded: self.samples(&encoded),
                    overlap: covered - searched.start,
                    searched: searched.clone(),
                });
                covered = searched.end;
            }
        }
        chunks
    }

    fn samples(&self, frames: &Range<usize>) -> Range<usize> {
        frames.start * self.stride..(frames.end * self.stride).min(self.n_samples)
    }
}
