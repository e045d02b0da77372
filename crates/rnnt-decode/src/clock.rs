//! Turns encoder frames into samples, and samples into seconds.

use std::ops::Range;

/// The place of an utterance's encoder frames in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameClock {
    /// Distance between two encoder frames in samples: hop times subsampling, 160 x 8 = 1280 for Parakeet.
    pub stride: usize,
    /// Samples per second; not 0.
    pub sample_rate_hz: u32,
    /// The utterance's samples, counted from the start of the file. Encoder frame 0 begins at the first
    /// sample. [`crate::words`] ends no word after the last sample.
    pub samples: Range<usize>,
}

impl FrameClock {
    /// First sample of encoder frame `frame`, counted from the start of the file. The frame after the last
    /// one may begin past the end of the utterance, because the last frame may be incomplete.
    pub fn sample(&self, frame: usize) -> usize {
        self.samples.start + frame * self.stride
    }

    /// Seconds from the start of the file to `sample`.
    pub fn seconds(&self, sample: usize) -> f64 {
        sample as f64 / f64::from(self.sample_rate_hz)
    }
}
