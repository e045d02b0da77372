//! Why audio could not be loaded, and what was wrong with audio that could.

use std::fmt;

/// Why audio could not be loaded.
///
/// All but [`AudioError::Io`] are the fault of the file: a retry gives the same answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The source could not be opened or read; the file may be sound.
    #[error("cannot read the audio")]
    Io(#[source] std::io::Error),

    /// The source holds no byte, or a header and no sample.
    #[error("the audio is empty")]
    Empty,

    /// The content is no audio or video container known to this engine.
    #[error("not an audio file of a known format")]
    UnknownContainer,

    /// The container holds no audio track.
    #[error("the {container} file has no audio track")]
    NoAudioTrack {
        /// Short name of the container.
        container: String,
    },

    /// The container is known, the codec of its audio is not read.
    #[error(
        "unsupported codec {codec}; convert the file first: ffmpeg -i INPUT -ar 16000 -ac 1 output.wav"
    )]
    UnsupportedCodec {
        /// Name of the codec, or its code in the container where the name is not known.
        codec: String,
    },

    /// The sample rate is outside 8 to 192 kHz.
    #[error("sample rate is {actual_hz} Hz, expected 8000 to 192000 Hz")]
    UnsupportedSampleRate {
        /// Rate that the file states.
        actual_hz: u32,
    },

    /// The number of channels is outside 1 to 8.
    #[error("audio has {actual} channels, expected 1 to 8")]
    UnsupportedChannels {
        /// Number of channels that the file states.
        actual: usize,
    },

    /// The file is larger than [`AudioLimits::max_bytes`](super::AudioLimits::max_bytes).
    #[error("audio file has {actual_bytes} bytes, expected at most {max_bytes}")]
    TooLarge {
        /// Size of the file.
        actual_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },

    /// The audio is longer than
    /// [`AudioLimits::max_duration_s`](super::AudioLimits::max_duration_s).
    #[error("audio is longer than {max_duration_s} s")]
    TooLong {
        /// The limit in seconds.
        max_duration_s: f64,
    },

    /// The file is damaged beyond what can be skipped.
    #[error("malformed audio at {at_s:.3} s")]
    Malformed {
        /// Seconds of audio decoded before.
        at_s: f64,
        /// What the decoder said.
        // Boxed: the decoding library is not part of our API.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What was wrong with audio that could be loaded all the same.
///
/// `Display` gives a sentence for the user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AudioWarning {
    /// The file ends before the length that its header states.
    Truncated {
        /// Seconds that were there.
        actual_s: f64,
    },
}

impl fmt::Display for AudioWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { actual_s } => {
                write!(f, "the file is cut off: only {actual_s:.3} s could be read")
            }
        }
    }
}
