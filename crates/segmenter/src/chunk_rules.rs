//! The rules by which audio is cut into chunks.

use std::num::NonZeroUsize;

/// How audio is cut. All lengths are numbers of encoder frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRules {
    /// Distance between encoder frames, in samples.
    pub stride: NonZeroUsize,
    /// Most frames that are encoded at once, context included.
    pub max_frames: NonZeroUsize,
    /// Length of a chunk in audio that has pauses everywhere.
    pub wanted_frames: NonZeroUsize,
    /// Frames that are encoded, but not searched, on each side of a chunk. [`crate::plan_chunks`] takes at
    /// most an eighth of [`ChunkRules::max_frames`].
    pub context_frames: usize,
    /// Shortest pause in which a cut has no overlap.
    pub pause_frames: usize,
    /// Frames that both chunks of a hard cut search. [`crate::plan_chunks`] takes at most a quarter of
    /// [`ChunkRules::max_frames`].
    pub overlap_frames: usize,
    /// Shortest silence whose middle is skipped: neither encoded nor searched. `None` skips nothing.
    ///
    /// A frame is silent if it is digital silence, or if it lies at most 3 dB above the file's quietest
    /// frame and at least 30 dB below the loudest: no speech is so even. The first and the last
    /// [`ChunkRules::context_frames`] of a silence are searched.
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
