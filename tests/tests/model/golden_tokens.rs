//! Every token and its encoder frame equal NeMo's, alone and in batches.

use e2e_tests::{Golden, goldens, isolation, project, tiny_transcriber, transcribe};
use parakeet_worker::transcriber::Transcript;

/// Seconds of a chunk: more than any recording has, because NeMo encodes each recording in one pass.
const WHOLE: usize = 60;

/// The share of emissions that may be near ties with another result.
const MAX_DIFFERENT: f64 = 1e-3;

#[test]
fn tokens_and_frames_are_nemos_alone_and_in_batches_of_7_and_of_32() {
    let _guard = isolation::shared();
    let goldens = goldens();
    let files: Vec<_> = goldens
        .iter()
        .map(|golden| project().join(&golden.file))
        .collect();
    let n_emissions: usize = goldens.iter().map(|it| it.n_frames + it.tokens.len()).sum();
    let n_tokens: usize = goldens.iter().map(|golden| golden.tokens.len()).sum();
    assert!(n_tokens > 3000, "{n_tokens} golden tokens compare nothing");
    for batch_size in [1, 7, 32] {
        let transcripts = transcribe(&tiny_transcriber(batch_size, WHOLE), &files);
        let differ = goldens
            .iter()
            .zip(&files)
            .filter(|(golden, file)| differs(golden, &transcripts[*file]));
        let n_different = differ.count();
        println!(
            "batches of {batch_size}: {n_different} near ties differ in {n_emissions} emissions"
        );
        assert!(n_different as f64 <= MAX_DIFFERENT * n_emissions as f64);
    }
}

/// Whether a recording differs from NeMo from a near tie on. After the tie the two predictors have different
/// states, so the rest cannot be compared. Panics if the first difference is not a near tie.
fn differs(golden: &Golden, transcript: &Transcript) -> bool {
    let expected: Vec<_> = golden
        .tokens
        .iter()
        .copied()
        .zip(golden.frames.iter().copied())
        .collect();
    let actual: Vec<_> = transcript
        .tokens
        .iter()
        .map(|token| (token.id, token.frame))
        .collect();
    if actual == expected {
        return false;
    }
    let same = actual
        .iter()
        .zip(&expected)
        .take_while(|(actual, expected)| actual == expected)
        .count();
    let steps = [actual.get(same), expected.get(same)];
    let frame = steps
        .iter()
        .flatten()
        .map(|(_, frame)| *frame)
        .min()
        .expect("they differ");
    let is_tie = golden
        .near_ties
        .iter()
        .any(|tie| (tie.n_tokens, tie.frame) == (same, frame));
    assert!(
        is_tie,
        "{}: (token, frame) {same} is {:?}, expected {:?}",
        golden.file, steps[0], steps[1]
    );
    true
}
