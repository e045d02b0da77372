//! Log-mel and encoder output are those of NeMo.
//!
//! `tests/data/goldens/activations.npz` holds `FILE.features` (n_mels, T) and `FILE.encoded` (T', D)
//! of a few recordings; `cargo xtask parity --write-goldens` writes it.

use std::collections::BTreeMap;

use tch::{CModule, IValue, Tensor};

use crate::tiny::{archive, load, project};

/// The largest difference for features and encoder output, whose values are around 1.
const TOLERANCE: f64 = 1e-3;

#[test]
fn log_mel_and_encoder_output_are_nemos() {
    let path = project().join("tests/data/goldens/activations.npz");
    let goldens = Tensor::read_npz(path).expect("the goldens are part of the repository");
    let goldens: BTreeMap<String, Tensor> = goldens.into_iter().collect();
    let network = archive();
    for (name, expected) in &goldens {
        let (file, what) = name.rsplit_once('.').expect("a name is FILE.WHAT");
        let samples = load(&project().join(file));
        let actual = match what {
            "features" => run(&network, "features", &samples),
            "encoded" => run(&network, "encoder_output", &samples),
            other => panic!("{name}: nobody knows what {other} is"),
        };
        assert_eq!(actual.size(), expected.size(), "shape of {name}");
        let worst = (actual - expected).abs().max().double_value(&[]);
        println!("{name}: largest difference {worst:e}");
        assert!(worst < TOLERANCE, "{name}: largest difference {worst:e}");
    }
    assert!(
        goldens.len() >= 8,
        "{} goldens, expected two each of several recordings",
        goldens.len()
    );
}

/// The valid frames of one recording, from a method of the archive.
fn run(network: &CModule, method: &str, samples: &[f32]) -> Tensor {
    let audio = Tensor::from_slice(samples).unsqueeze(0);
    let lengths = Tensor::from_slice(&[samples.len() as i64]);
    let arguments: [IValue; 2] = [audio.into(), lengths.into()];
    let answer = network.method_is(method, &arguments).expect("it runs");
    let (activations, n_frames): (Tensor, Tensor) = answer.try_into().expect("it answers with two");
    let n_frames = n_frames.int64_value(&[0]);
    // Time is the last dimension of features, (N, n_mels, T), and the second of (N, T', D).
    let time = if method == "features" { 1 } else { 0 };
    activations.get(0).narrow(time, 0, n_frames)
}
