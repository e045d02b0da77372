//! Audio files: a user who uploads one controls every byte.

use std::io::Cursor;
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::{AudioError, AudioLimits, SAMPLE_RATE_HZ, read};

/// Longest audio that this target decodes, in seconds.
const MAX_S: f64 = 60.0;

/// Reads a file. Reading ends in time, and gives finite samples within the limits or an error.
///
/// # Panics
///
/// One of these promises is broken.
pub fn audio(file: &[u8]) {
    let limits = AudioLimits {
        max_bytes: 1 << 20,
        max_duration_s: MAX_S,
        max_bad_packets: 100,
        max_decode_time: Duration::from_secs(5),
    };
    let began = Instant::now();
    let outcome = read(Cursor::new(file), &limits);
    // Longer than the limit, because time is checked between packets, and the machine may be busy.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "reading took {took:?}");
    match outcome {
        Ok(waveform) => {
            assert!(!waveform.samples.is_empty(), "audio without a sample");
            let longest = (MAX_S * f64::from(SAMPLE_RATE_HZ)) as usize;
            assert!(waveform.samples.len() <= longest, "beyond the limit");
            let in_range = |sample: &f32| (-1.0..=1.0).contains(sample);
            assert!(
                waveform.samples.iter().all(in_range),
                "a sample is out of range"
            );
            assert!((8000..=192_000).contains(&waveform.source.sample_rate_hz));
            assert!((1..=8).contains(&waveform.source.n_channels));
            for warning in &waveform.warnings {
                crate::assert_sentence(&warning.to_string());
            }
        }
        Err(AudioError::Io(why)) => panic!("a file in memory cannot be read: {why}"),
        Err(why) => crate::assert_sentence(&why.to_string()),
    }
}
