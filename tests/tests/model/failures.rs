//! A recording that fails does not fail the others in its batch.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use e2e_tests::{isolation, project, tiny_transcriber, transcribe};
use parakeet_worker::source::Source;
use parakeet_worker::transcribe::transcribe_list;
use parakeet_worker::transcriber::{Batches, Error, Stats, Transcript};
use segmenter::SegmentRules;

/// Writes silence as WAV: 16 bits, mono, 16 kHz.
fn write_silence(path: &Path, seconds: u32) {
    let n_bytes = seconds * 32_000;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + n_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    wav.extend(n_bytes.to_le_bytes());
    wav.resize(wav.len() + n_bytes as usize, 0);
    fs::write(path, wav).expect("it can be written");
}

#[test]
fn a_recording_that_the_network_refuses_costs_its_batch_nothing() {
    let _guard = isolation::shared();
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let refused = dir.path().join("refused.wav");
    write_silence(&refused, 70);
    let recording = |id: &str| {
        project()
            .join("tests/data/tiny-300")
            .join(id)
            .with_extension("flac")
    };
    let files: Vec<PathBuf> = vec![
        recording("0001"),
        recording("0294"),
        refused,
        recording("0002"),
    ];
    // A batch with room for all of them, and chunks that may be longer than the network's limit of 60 s.
    let transcriber = tiny_transcriber(8, 90);
    let sources: Vec<_> = files.iter().cloned().map(Source::File).collect();
    let mut outcomes = Vec::new();
    let proceed = |_: &Stats| ControlFlow::Continue(());
    let rules = SegmentRules::default();
    let stats = transcribe_list(&transcriber, &rules, &sources, proceed, |_, outcome| {
        outcomes.push(outcome);
        ControlFlow::Continue(())
    });

    let Batches {
        n,
        n_chunks,
        largest,
    } = stats.batches;
    // A batch of 4, two batches of 2, and two batches of 1 for the half with the refused recording.
    assert_eq!(
        (n, n_chunks, largest),
        (5, 10, 4),
        "halved until the refused one is alone"
    );
    let steps = |it: &Transcript| -> Vec<_> { it.tokens.iter().map(|t| (t.id, t.frame)).collect() };
    let expected = transcribe(&transcriber, &[&files[..2], &files[3..]].concat());
    for (file, outcome) in files.iter().zip(outcomes) {
        match outcome {
            Ok(transcript) => assert_eq!(steps(&transcript), steps(&expected[file])),
            Err(why) => {
                assert!(file.ends_with("refused.wav"), "{}: {why}", file.display());
                assert!(
                    matches!(why, Error::Model(parakeet_model::Error::TooLong { .. })),
                    "{why}"
                );
            }
        }
    }
}
