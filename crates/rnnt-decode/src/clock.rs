//! Encoder frames to samples to seconds.

use std::ops::Range;

/// Where an utterance's encoder frames lie in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameClock {
    /// Distance between encoder frames in samples: hop x subsampling, 160 x 8 = 1280 for Parakeet.
    pub stride: usize,
    /// Samples per second; not 0.
    pub sample_rate_hz: u32,
    /// The utterance's samples, counted from the start of the file: encoder frame 0 begins at its
    /// start, and [`crate::words`] ends no word after its end.
    pub samples: Range<usize>,
}

impl FrameClock {
    /// First sample of encoder frame `frame`, in file time. The last frame's successor may lie past
    /// the utterance's end.
    pub fn sample(&self, frame: usize) -> usize {
        self.samples.start + frame * self.stride
    }

    /// Seconds from the start of the file to a sample.
    pub fn seconds(&self, sample: usize) -> f64 {
        sample as f64 / f64::from(self.sample_rate_hz)
    }
}
