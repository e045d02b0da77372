//! Turns an audio file of any common format into mono samples at 16 kHz.
//!
//! ```text
//! source.rs       the file, its size, and the time that reading may take
//! wave_header.rs  lengths in a WAV header that are not to be believed
//! unread.rs       names the formats that are not read
//! decode.rs       from the first byte of a file to its last packet
//! track.rs        one audio track: its decoder and its clock
//! end.rs          how a file ended, and what is to be said about it
//! sink.rs         takes packets, gives samples and warnings
//! downmix.rs      all channels of a packet -> one, finite, in [-1, 1]
//! resample.rs     any rate -> 16 kHz
//! ```
//!
//! A packet goes the whole way before the next one is read, so memory holds the result and one
//! packet, however long the file claims to be. What a file may ask for is bounded by
//! [`AudioLimits`]; beyond that, whatever gives sound is loaded, and what was lost on the way is
//! told in [`Waveform::warnings`].

mod decode;
mod downmix;
mod end;
mod error;
mod resample;
mod sink;
mod source;
mod track;
mod unread;
mod wave_header;

use std::fmt;
use std::io::{Read, Seek};
use std::path::Path;
use std::time::Duration;

pub use error::{AudioError, AudioWarning};

/// Samples per second of every [`Waveform`].
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Reads the audio file at `path`; [`read`] says how.
///
/// # Errors
///
/// Those of [`read`], and [`AudioError::Io`] if the file cannot be opened.
pub fn load(path: impl AsRef<Path>, limits: &AudioLimits) -> Result<Waveform, AudioError> {
    read(std::fs::File::open(path).map_err(AudioError::Io)?, limits)
}

/// Reads audio from any seekable source, for example a `Cursor` over bytes in memory.
///
/// The format is told from the content, never from a name. Read are WAV (integer PCM of 8 to 32
/// bits, float, A-law, mu-law, ADPCM), AIFF, CAF, FLAC, MPEG audio layers 1 to 3, MP4/M4A with AAC-LC
/// or ALAC, Ogg with Vorbis or FLAC, and Matroska/WebM with any of these codecs; rates of 8 to
/// 192 kHz, 1 to 8 channels. Of several audio tracks the first that can be decoded is taken.
///
/// All channels are averaged with equal weight and the rate is brought to [`SAMPLE_RATE_HZ`] without
/// delay. 16-bit mono at that rate comes out as exactly `x / 32768`. A sample that is not a number
/// becomes 0, one beyond full scale is clamped.
///
/// The delay that an encoder adds is removed in MP3 with a LAME tag, Ogg and ALAC. It stays in AAC and
/// MP2, which begin 20 to 50 ms late: the edit lists of MP4 are not read.
///
/// A damaged packet becomes silence of its length, so that what follows keeps its time; a file that
/// ends early gives what was there. Both leave a warning.
///
/// # Errors
///
/// [`AudioError::Io`] says that the source failed; every other variant says that the file is at
/// fault and that a retry cannot help.
pub fn read<R>(reader: R, limits: &AudioLimits) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    decode::decode(reader, limits)
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

/// The format of an audio file, as its first decoded packet tells it.
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

/// How much a file may ask for before it is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioLimits {
    /// Size of the file; 4 GiB by default, two hours of 24-bit stereo at 96 kHz.
    pub max_bytes: u64,
    /// Length of the decoded audio in seconds; 7200 by default, 461 MB of samples.
    pub max_duration_s: f64,
    /// Packets in a row that are damaged or give no sound before the rest of the file is given up;
    /// 1000 by default, 10 to 30 s in most codecs.
    pub max_bad_packets: u32,
    /// Wall-clock time that reading and decoding may take; 5 minutes by default. Two hours of audio
    /// take seconds; a file built to be slow takes for ever.
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
