//! The errors of audio that cannot be loaded, and the warnings about audio that can.

use std::fmt;

/// Why audio could not be loaded.
///
/// In all variants but [`AudioError::Io`] the file is at fault, and another try gives the same error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The source could not be opened or read; the file itself may be intact.
    #[error("cannot read the audio file")]
    Io(#[source] std::io::Error),

    /// The file has no bytes, or headers and no samples.
    #[error("the audio file is empty")]
    Empty,

    /// The content is no audio or video file of a known format.
    #[error("not an audio file of a known format")]
    UnknownContainer,

    /// The container has no audio track.
    #[error("the {container} file has no audio track")]
    NoAudioTrack {
        /// Short name of the container.
        container: String,
    },

    /// The format is recognised, but is not read.
    #[error(
        "{format} audio is not supported; convert it first: ffmpeg -i INPUT -ar 16000 -ac 1 output.wav"
    )]
    Unsupported {
        /// Name of the codec or container, or its code if the name is not known.
        format: String,
    },

    /// The sample rate is outside 8 to 192 kHz.
    #[error("the audio has a sample rate of {actual_hz} Hz, expected 8000 to 192000 Hz")]
    UnsupportedSampleRate {
        /// Rate that the file states, in Hz.
        actual_hz: u32,
    },

    /// The number of channels is outside 1 to 8.
    #[error("the audio has {actual} channels, expected 1 to 8")]
    UnsupportedChannels {
        /// Number of channels that the file states.
        actual: usize,
    },

    /// The file is larger than [`AudioLimits::max_bytes`](super::AudioLimits::max_bytes).
    #[error("the audio file has {actual_bytes} bytes, expected at most {max_bytes}")]
    TooLarge {
        /// Size of the file in bytes.
        actual_bytes: u64,
        /// The limit in bytes.
        max_bytes: u64,
    },

    /// The audio is longer than
    /// [`AudioLimits::max_duration_s`](super::AudioLimits::max_duration_s).
    #[error("the audio is longer than {max_duration_s} s")]
    TooLong {
        /// The limit in seconds.
        max_duration_s: f64,
    },

    /// Decoding used more time of the processor than
    /// [`AudioLimits::max_decode_time`](super::AudioLimits::max_decode_time).
    #[error("the audio could not be decoded within {max_decode_time:?} of processor time")]
    TooSlow {
        /// The limit.
        max_decode_time: std::time::Duration,
    },

    /// The file is damaged, and no sound could be read from it.
    #[error("the audio file is damaged")]
    Malformed {
        /// The decoder's error.
        // Boxed: the decoding library is not part of our API.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A fault of audio that could be loaded all the same.
///
/// `Display` writes a sentence for the user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AudioWarning {
    /// The file is cut off: it ends before the length that it states, or where its container promises more.
    Truncated {
        /// Seconds that could be read.
        actual_s: f64,
        /// Seconds that the file states; `None` if it states no length.
        expected_s: Option<f64>,
    },

    /// The file is damaged from this point on; the rest was not read.
    BrokenOff {
        /// Seconds that could be read.
        actual_s: f64,
        /// The decoder's error.
        reason: String,
    },

    /// Parts of the audio are missing or damaged; silence replaces them.
    Damaged {
        /// Packets that could not be decoded. Readers of some containers drop damaged packets, which are
        /// then not counted.
        n_packets: u64,
        /// Seconds of silence in place of missing audio.
        silence_s: f64,
    },

    /// Samples were NaN or infinite and became 0.
    NotFinite {
        /// Number of such samples, counted in every channel.
        n_samples: u64,
    },

    /// Samples far beyond full scale were clamped: the file was probably written with another scale, and its
    /// sound is distorted. Small excesses, which lossy codecs produce, are not reported.
    OutOfRange {
        /// Largest magnitude of a sample, where full scale is 1.
        peak: f32,
    },

    /// The file has more than one audio track; the others were not read.
    OtherTracks {
        /// Number of tracks that were not read.
        n_tracks: usize,
    },
}

impl fmt::Display for AudioWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated {
                actual_s,
                expected_s: Some(expected_s),
            } => {
                write!(
                    f,
                    "the file is cut off: it has {actual_s:.2} s of {expected_s:.2} s"
                )
            }
            Self::Truncated {
                actual_s,
                expected_s: None,
            } => {
                write!(f, "the file is cut off after {actual_s:.2} s")
            }
            Self::BrokenOff { actual_s, reason } => {
                write!(
                    f,
                    "the file is damaged after {actual_s:.2} s and was read no further: {reason}"
                )
            }
            Self::Damaged {
                n_packets,
                silence_s,
            } => write!(
                f,
                "the file is damaged in places (packets that could not be decoded: {n_packets}; \
                 silence in place of missing audio: {silence_s:.2} s)"
            ),
            Self::NotFinite { n_samples } => {
                write!(
                    f,
                    "{n_samples} samples are not finite numbers and became silence"
                )
            }
            Self::OutOfRange { peak } => write!(
                f,
                "samples reach {peak:?} times full scale and were clamped; is the file's scale right?"
            ),
            Self::OtherTracks { n_tracks } => {
                write!(
                    f,
                    "only the first audio track was read; {n_tracks} more were not"
                )
            }
        }
    }
}
