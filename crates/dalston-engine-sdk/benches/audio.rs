//! How fast recordings become samples: `cargo bench -p dalston-engine-sdk`.
//!
//! Each of the shipped formats, repeated in memory, as the best of several runs: noise only ever adds, and
//! a benchmark library would be built for every run of the tests.

use std::fs;
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::time::Instant;

use dalston_engine_sdk::audio::{AudioLimits, read};

const N_RUNS: usize = 20;

/// By name in the folder of recordings of the tests.
const RECORDINGS: [&str; 9] = [
    "speech/jfk.wav",
    "speech/jfk.mp3",
    "audio/pcm.wav",
    "audio/flac_16.flac",
    "audio/flac_24.flac",
    "audio/vorbis.ogg",
    "audio/aac.m4a",
    "audio/alac.m4a",
    "audio/no_tag_128k.mp3",
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    for name in RECORDINGS {
        let bytes = fs::read(folder.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        let load = || {
            let waveform = read(Cursor::new(&bytes), &AudioLimits::default());
            waveform.unwrap_or_else(|why| panic!("{name}: {why}"))
        };
        let waveform = load();
        let time = |_| {
            let begun = Instant::now();
            black_box(load());
            begun.elapsed()
        };
        let best = (0..N_RUNS).map(time).min().unwrap_or_default();
        let factor = waveform.duration_s() / best.as_secs_f64();
        println!("{name:22} {factor:8.0} x real time  ({})", waveform.source);
    }
}
