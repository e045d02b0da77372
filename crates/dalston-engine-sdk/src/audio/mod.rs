//! Reads an audio file of any common format as mono samples at 16 kHz.
//!
//! ```text
//! waveform.rs     the result, and the limits
//! source.rs       the file, its size, and the processor time that reading may take
//! id3_tag.rs      measures the ID3v2 tags before the sound
//! wave_header.rs  finds wrong lengths in a WAV header
//! unread.rs       names the formats that are recognised but not read
//! decode.rs       from the first byte of a file to its last packet
//! track.rs        one audio track: its decoder and its clock
//! end.rs          how a file ended, and the warning about it
//! sink.rs         takes packets, gives samples and warnings
//! downmix.rs      all channels of a packet -> one, finite, in [-1, 1]
//! resample.rs     any rate -> 16 kHz
//! ```
//!
//! Each packet is decoded, mixed down and resampled before the next one is read. So memory holds the result
//! and one packet, whatever length the file states. [`AudioLimits`] bound the size, the length and the time.
//! Within the limits every file that gives sound is loaded, and [`Waveform::warnings`] name what was lost.

mod decode;
mod downmix;
mod end;
mod error;
mod id3_tag;
mod resample;
mod sink;
mod source;
mod track;
mod unread;
mod wave_header;
mod waveform;

use std::io::{Read, Seek};
use std::path::Path;

pub use error::{AudioError, AudioWarning};
pub use waveform::{AudioFormat, AudioLimits, SAMPLE_RATE_HZ, Waveform};

/// Reads the audio file at `path` as [`read`] does.
///
/// # Errors
///
/// Those of [`read`], and [`AudioError::Io`] if the file cannot be opened.
pub fn load(path: impl AsRef<Path>, limits: &AudioLimits) -> Result<Waveform, AudioError> {
    read(std::fs::File::open(path).map_err(AudioError::Io)?, limits)
}

/// Reads audio from any seekable source, for example a `Cursor` over bytes in memory.
///
/// The content decides the format, never a file name. These formats are read: WAV (integer PCM of 8 to 32
/// bits, float, A-law, mu-law, ADPCM), AIFF, CAF, FLAC, MPEG audio layers 1 to 3, MP4/M4A with AAC-LC or
/// ALAC, Ogg with Vorbis or FLAC, and Matroska/WebM with any of these codecs, with sample rates of 8 to
/// 192 kHz and 1 to 8 channels. Of several audio tracks, the first that can be decoded is read. ID3v2 tags of any
/// size may come before the file.
///
/// All channels are averaged with equal weight and resampled to [`SAMPLE_RATE_HZ`] without delay. A 16-bit
/// mono sample `x` at that rate becomes exactly `x / 32768`. A sample that is NaN or infinite becomes 0; a
/// sample beyond full scale is clamped.
///
/// The delay that an encoder adds is removed in MP3 with a LAME tag, Ogg and ALAC. It stays in AAC and
/// MP2, which begin 20 to 50 ms late, because the edit lists of MP4 are not read.
///
/// A damaged packet becomes silence of the same length, so that later audio keeps its time. A file that ends
/// early gives the audio before its end. Both add a warning.
///
/// # Errors
///
/// [`AudioError::Io`] if the source failed. With every other variant the file is at fault, and another try
/// cannot help.
pub fn read<R>(reader: R, limits: &AudioLimits) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    decode::decode(reader, limits)
}
