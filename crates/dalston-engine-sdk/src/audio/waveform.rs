//! Decoded audio, its format in the file, and the limits of what is read.

use std::fmt;
use std::time::Duration;

use super::error::AudioWarning;

/// Samples per second of every [`Waveform`].
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Mono audio at [`SAMPLE_RATE_HZ`], with the format of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// Samples in [-1, 1], all finite; never empty.
    pub samples: Vec<f32>,
    /// The format that the samples were decoded from.
    pub source: AudioFormat,
    /// The faults of the file that did not prevent reading it; empty for an intact file.
    pub warnings: Vec<AudioWarning>,
}

impl Waveform {
    /// The length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE_HZ)
    }
}

/// The format of an audio file, as its first decoded packet shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFormat {
    /// Short name of the container, for example `wave` or `isomp4`.
    pub container: String,
    /// Short name of the codec, for example `pcm_s16le` or `mp3`.
    pub codec: String,
    /// Samples per second of one channel, 8000 to 192 000.
    pub sample_rate_hz: u32,
    /// Number of channels, 1 to 8.
    pub n_channels: u16,
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            container,
            codec,
            sample_rate_hz,
            n_channels,
        } = self;
        write!(
            f,
            "{codec} in {container}, {sample_rate_hz} Hz, channels: {n_channels}"
        )
    }
}

/// Limits of what is read.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioLimits {
    /// Largest file in bytes; 4 GiB by default, which is two hours of 24-bit stereo at 96 kHz.
    pub max_bytes: u64,
    /// Longest decoded audio in seconds; 7200 by default, which is 461 MB of samples.
    pub max_duration_s: f64,
    /// Most packets in a row that are damaged or give no sound; after them the rest of the file is not read.
    /// 1000 by default, which is 10 to 30 s in most codecs.
    pub max_bad_packets: u32,
    /// Most time of a processor for reading and decoding; 5 minutes by default. Two hours of audio take
    /// seconds, but a file can be built so that reading it never ends. Waiting for the disk or for the
    /// processor does not count.
    pub max_decode_time: Duration,
}

impl Default for AudioLimits {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            max_duration_s: 7200.0,
            max_bad_packets: 1000,
            max_decode_time: Duration::from_secs(300),
        }
    }
}
