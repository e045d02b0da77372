//! Loads audio files and prints their format, the speed of decoding, and their faults.
//!
//! `cargo run --release -p dalston-engine-sdk --example load_audio -- FILE...`

use std::error::Error;
use std::time::Instant;

use dalston_engine_sdk::audio::{self, AudioLimits};

fn main() {
    for path in std::env::args().skip(1) {
        let start = Instant::now();
        match audio::load(&path, &AudioLimits::default()) {
            Ok(waveform) => {
                let rtfx = waveform.duration_s() / start.elapsed().as_secs_f64();
                let duration_s = waveform.duration_s();
                println!(
                    "{path}: {}, {duration_s:.3} s, RTFx {rtfx:.0}",
                    waveform.source
                );
                for warning in &waveform.warnings {
                    println!("{path}: warning: {warning}");
                }
            }
            Err(err) => {
                let cause = err
                    .source()
                    .map(|cause| format!(": {cause}"))
                    .unwrap_or_default();
                println!("{path}: error: {err}{cause}");
            }
        }
    }
}
