//! Loads intact, damaged and hostile audio files through the public functions of `audio`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod chirp;
mod damage;
mod flac_file;
mod formats;
mod hostile;
mod id3_tags;
mod pcm;
mod resampling;
mod wave_file;

use std::io::Cursor;
use std::path::PathBuf;

use dalston_engine_sdk::audio::{self, AudioError, AudioLimits, Waveform};

/// Reads a file in memory with the default limits.
fn read(bytes: &[u8]) -> Result<Waveform, AudioError> {
    audio::read(Cursor::new(bytes), &AudioLimits::default())
}

/// Path of a recording in `tests/data/audio`, whose README says where it comes from.
fn recording(name: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/audio"
    ))
    .join(name)
}

/// Bytes of a recording in `tests/data/audio`.
#[track_caller]
fn recording_bytes(name: &str) -> Vec<u8> {
    std::fs::read(recording(name)).expect("the recording is a part of the repository")
}
