//! An archive's predictor and joint beside those of a CPU, and what its failures are called.

use dalston_engine_sdk::audio::{self, AudioLimits};
use rnnt_decode::Lane;

use super::*;
use crate::transducer::EMISSION_LEN;

/// A GPU's search calls the archive, a CPU's calls what the engine made of its weights.
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
    let ours = hear(&network, &encoded);
    network.native = None;
    let archive_s = hear(&network, &encoded);

    assert_eq!(ours.len(), archive_s.len());
    assert!(ours.iter().any(|&[token, ..]| token != ours[0][0]));
    for (frame, (ours, archive_s)) in ours.iter().zip(&archive_s).enumerate() {
        let is_same = ours[..2] == archive_s[..2] && (ours[2] - archive_s[2]).abs() < 1e-4;
        assert!(is_same, "{frame}: {ours:?}, {archive_s:?}");
    }
}

/// Feeds some tokens; token, duration and log-probability of some frames before and after each.
fn hear(network: &Network, encoded: &Tensor) -> Vec<[f32; EMISSION_LEN]> {
    let state = network.initial_state(encoded.shallow_clone());
    let mut state = state.expect("there is a state");
    let last_column = encoded.size()[1] as usize - 1;
    // One window ends behind it: of the last utterance, both score the last column again. Of the others an archive
    // scores the utterance after them, which no search uses.
    let lanes = [(2, last_column - 3), (0, 4), (1, 0)];
    let lanes = lanes.map(|(utterance, frame)| Lane { utterance, frame });
    let window = 12;
    let mut heard = Vec::new();
    for emitted in [
        &[(0, 3), (2, 17)][..],
        &[(1, 40)],
        &[(2, 5), (1, 6), (0, 7)],
        &[],
    ] {
        let mut scores = vec![0.0; lanes.len() * window * EMISSION_LEN];
        let scored = state.score(&lanes, window, &mut scores);
        scored.expect("the lanes are scored");
        heard.extend_from_slice(scores.as_chunks().0);
        if !emitted.is_empty() {
            state.advance(emitted).expect("the tokens are fed");
        }
    }
    heard
}

#[test]
fn a_full_memory_and_a_lost_gpu_are_told_from_a_network_that_fails() {
    let sorted = |text: &str| failure("encode", String::new(), TchError::Torch(text.into()));
    for text in [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.",
    ] {
        assert!(matches!(sorted(text), Error::OutOfMemory { .. }), "{text}");
    }
    let lost = sorted("CUDA error: an illegal memory access was encountered");
    assert!(matches!(lost, Error::DeviceLost { .. }), "{lost}");
    for text in [
        "mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)",
        "CUDA error: invalid configuration argument",
        "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`",
    ] {
        assert!(matches!(sorted(text), Error::Network { .. }), "{text}");
    }
}
