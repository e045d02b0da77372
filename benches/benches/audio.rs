//! Measures audio decoding: `cargo bench -p benches --no-default-features --bench audio`.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dalston_engine_sdk::audio::{AudioLimits, read};

/// One recording of each supported format, by its path in the folder of the tests' recordings.
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

/// Decodes bytes in memory to samples. An element is a sample at 16 kHz.
fn bench_decoding(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let mut group = criterion.benchmark_group("read");
    for name in RECORDINGS {
        let bytes = fs::read(folder.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        let load = || {
            let waveform = read(Cursor::new(&bytes), &AudioLimits::default());
            waveform.unwrap_or_else(|why| panic!("{name}: {why}"))
        };
        group.throughput(Throughput::Elements(load().samples.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(load));
    }
    group.finish();
}

criterion_group!(benches, bench_decoding);
criterion_main!(benches);
