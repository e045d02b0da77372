//! The archive's own predictor states against the native ones of a CPU.

use dalston_engine_sdk::audio::{self, AudioLimits};
use rnnt_decode::Lane;

use super::*;
use crate::transducer::EMISSION_LEN;

/// On a GPU the search calls the archive; on a CPU it calls Rust code with the archive's weights.
#[test]
fn an_archive_s_states_say_what_those_of_a_cpu_say() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let archive = project.join("models/parakeet-rnnt-tiny/model.float32.pt");
    let mut network = Network::load(&archive, tch::Device::Cpu, false)
        .expect("`cargo xtask test` makes the tiny model's bundle");
    let speech = ["0001", "0101", "0201"].map(|name| {
        let path = project.join(format!("tests/data/tiny-300/{name}.flac"));
        let waveform = audio::load(&path, &AudioLimits::default());
        waveform
            .expect("the test set is part of the repository")
            .samples
    });
    let uploaded = network.upload_audio(&speech.each_ref().map(Vec::as_slice), 1);
    let encoded = uploaded.and_then(|audio| network.encode(audio));
    let (encoded, _) = encoded.expect("three recordings are encoded");

    assert!(network.native.is_some(), "the archive gives its weights");
    let native = emissions(&network, &encoded);
    network.native = None;
    let archive_s = emissions(&network, &encoded);

    assert_eq!(native.len(), archive_s.len());
    assert!(native.iter().any(|&[token, ..]| token != native[0][0]));
    for (frame, (native, archive_s)) in native.iter().zip(&archive_s).enumerate() {
        let is_same = native[..2] == archive_s[..2] && (native[2] - archive_s[2]).abs() < 1e-4;
        assert!(is_same, "{frame}: {native:?}, {archive_s:?}");
    }
}

/// The emissions of some frames of three lanes, before and after each of several batches of tokens is fed.
fn emissions(network: &Network, encoded: &Tensor) -> Vec<[f32; EMISSION_LEN]> {
    let states = network.initial_states(encoded.shallow_clone());
    let mut states = states.expect("there are states");
    let last_column = encoded.size()[1] as usize - 1;
    // The window of the first lane ends behind the last column. Both kinds of states score the last column
    // again there, because its utterance is the last of the batch. For other utterances the archive scores
    // columns of the next utterance, which no search uses.
    let lanes = [(2, last_column - 3), (0, 4), (1, 0)];
    let lanes = lanes.map(|(utterance, frame)| Lane { utterance, frame });
    let window = 12;
    let mut emissions = Vec::new();
    for emitted in [
        &[(0, 3), (2, 17)][..],
        &[(1, 40)],
        &[(2, 5), (1, 6), (0, 7)],
        &[],
    ] {
        let mut scores = vec![0.0; lanes.len() * window * EMISSION_LEN];
        let scored = states.score(&lanes, window, &mut scores);
        scored.expect("the lanes are scored");
        emissions.extend_from_slice(scores.as_chunks().0);
        if !emitted.is_empty() {
            states.advance(emitted).expect("the tokens are fed");
        }
    }
    emissions
}
