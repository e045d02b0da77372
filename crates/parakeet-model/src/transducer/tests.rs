//! Predictor and joint against their formulas, and archives whose weights have wrong sizes.

#![allow(
    clippy::disallowed_methods,
    reason = "a test may panic where libtorch does"
)]

use rnnt_decode::Lane;
use tch::{Device, Kind, Tensor};

use super::PredictorStates;
use super::archive_weights::ArchiveWeights;
use super::native::weights::JointActivation;
use super::native::{NativeHead, NativeStates, lstm};
use crate::error::Error;
use crate::libtorch::tensors::to_vec;

/// Symbols without blank.
const V: i64 = 10;
/// Width of a layer.
const H: i64 = 48;
/// Width of the joint.
const J: i64 = 40;
/// Number of durations.
const D: i64 = 3;

/// Weights of two layers, as large as those of a trained network.
fn weights(activation: JointActivation, kind: Kind) -> ArchiveWeights {
    tch::manual_seed(7);
    let random = |size: &[i64]| {
        let numbers = Tensor::rand(size, (Kind::Float, Device::Cpu)) * 0.4 - 0.2;
        numbers.to_kind(kind)
    };
    let linear = |n_out: i64, n_in: i64| (random(&[n_out, n_in]), random(&[n_out]));
    ArchiveWeights {
        token_gates: random(&[V + 1, 4 * H]),
        hidden_gates: vec![random(&[4 * H, H]), random(&[4 * H, H])],
        input_gates: vec![linear(4 * H, H)],
        projection: linear(J, H),
        scores: linear(V + 1 + D, J),
        activation,
        durations: Tensor::from_slice(&[0_i64, 2, 4]),
    }
}

fn head(weights: &ArchiveWeights, in_int8: bool) -> NativeHead {
    weights.check().expect("the weights belong to one network");
    NativeHead::new(weights.to_host().expect("the weights are copied"), in_int8)
}

/// The predictor states of a batch (N, T', J).
fn states<'a>(head: &'a NativeHead, encoded: &Tensor) -> Result<NativeStates<'a>, Error> {
    let size = encoded.size3().expect("there are three dimensions");
    let frames = to_vec(encoded).expect("the frames are copied");
    NativeStates::new(head, frames, [size.0, size.1, size.2].map(|it| it as usize))
}

/// Encoder frames of two utterances, five each.
fn encoded() -> Tensor {
    Tensor::from_slice(&std::array::from_fn::<f32, 400, _>(|i| {
        (i * 7 % 11) as f32 * 0.1 - 0.5
    }))
    .view([2, 5, J])
}

/// The emissions of four frames after each of three tokens is fed.
fn emissions(head: &NativeHead) -> Vec<[f32; 3]> {
    let mut states = states(head, &encoded()).expect("there are states");
    let mut emissions = Vec::new();
    for token in [3, 0, 9] {
        states.advance(&[(1, token)]).expect("the token is fed");
        let lane = Lane {
            utterance: 1,
            frame: 1,
        };
        let mut scores = [0.0; 12];
        states
            .score(&[lane], 4, &mut scores)
            .expect("the lane is scored");
        emissions.extend_from_slice(scores.as_chunks().0);
    }
    emissions
}

/// The same emissions by the formulas, in float64.
fn expected(weights: &ArchiveWeights) -> Vec<[f32; 3]> {
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let zeros = Tensor::zeros([H], (Kind::Double, Device::Cpu));
    let mut states = [(); 2].map(|()| (zeros.copy(), zeros.copy()));
    let mut emissions = Vec::new();
    // Blank is the start of sequence.
    for token in [V, 3, 0, 9] {
        let mut gates = double(&weights.token_gates.get(token));
        let mut output = Tensor::new();
        for (i, (hidden, cell)) in states.iter_mut().enumerate() {
            if i > 0 {
                let (weight, bias) = &weights.input_gates[i - 1];
                gates = double(weight).mv(&output) + double(bias);
            }
            gates += double(&weights.hidden_gates[i]).mv(hidden);
            let parts = gates.chunk(4, 0);
            *cell = parts[1].sigmoid() * &*cell + parts[0].sigmoid() * parts[2].tanh();
            *hidden = parts[3].sigmoid() * cell.tanh();
            output = hidden.copy();
        }
        if token == V {
            continue;
        }
        let linear =
            |(weight, bias): &(Tensor, Tensor), x: &Tensor| double(weight).mv(x) + double(bias);
        let predicted = linear(&weights.projection, &output);
        for frame in 1..5 {
            let sum = double(&encoded().get(1).get(frame)) + &predicted;
            let activated = match weights.activation {
                JointActivation::Relu => sum.relu(),
                JointActivation::Sigmoid => sum.sigmoid(),
                JointActivation::Tanh => sum.tanh(),
            };
            let logits = linear(&weights.scores, &activated);
            let symbols = logits.narrow(0, 0, V + 1).log_softmax(0, Kind::Double);
            let token = symbols.argmax(0, false).int64_value(&[]);
            let duration = logits.narrow(0, V + 1, D).argmax(0, false).int64_value(&[]);
            emissions.push([
                token as f32,
                2.0 * duration as f32,
                symbols.double_value(&[token]) as f32,
            ]);
        }
    }
    emissions
}

#[track_caller]
fn check(actual: &[[f32; 3]], expected: &[[f32; 3]], tolerance: f32) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        let off = (actual[2] - expected[2]).abs();
        assert!(off < tolerance, "{actual:?}, {expected:?}");
        if tolerance < 1e-4 {
            assert_eq!(actual[..2], expected[..2]);
        }
    }
}

#[test]
fn what_is_heard_is_what_the_formulas_say() {
    for activation in [
        JointActivation::Relu,
        JointActivation::Sigmoid,
        JointActivation::Tanh,
    ] {
        let weights = weights(activation, Kind::Float);
        check(
            &emissions(&head(&weights, false)),
            &expected(&weights),
            1e-5,
        );
    }
}

#[test]
fn sixteen_and_eight_bits_cost_what_their_rounding_does() {
    let weights = weights(JointActivation::Relu, Kind::BFloat16);
    // The weights are rounded before the expected emissions are computed; on tiles the joint's rows are
    // rounded, too.
    check(
        &emissions(&head(&weights, false)),
        &expected(&weights),
        0.01,
    );
    check(&emissions(&head(&weights, true)), &expected(&weights), 0.02);
}

#[test]
fn bytes_take_a_quarter_of_the_memory() {
    let weights = weights(JointActivation::Relu, Kind::Float);
    let [whole, bytes] = [false, true].map(|in_int8| {
        let head = head(&weights, in_int8);
        let table = (V + 1) * 4 * H * 4;
        head.n_predictor_bytes() as f64 - table as f64
    });
    assert!(bytes < 0.4 * whole, "{bytes}, {whole}");
}

#[test]
fn a_number_that_is_none_is_seen_in_the_scores() {
    for in_int8 in [false, true] {
        let weights = weights(JointActivation::Relu, Kind::Float);
        let _ = weights.hidden_gates[1].get(5).fill_(f64::NAN);
        let head = head(&weights, in_int8);
        assert!(
            emissions(&head).iter().any(|score| score[2].is_nan()),
            "{in_int8}"
        );
    }
}

#[test]
fn a_token_that_is_not_there_is_an_error() {
    let weights = weights(JointActivation::Relu, Kind::Float);
    let head = head(&weights, false);
    let mut batch = states(&head, &encoded()).expect("there are states");
    let why = batch
        .advance(&[(0, 3), (1, V as u32 + 1)])
        .expect_err("there are V");
    assert!(
        matches!(
            why,
            Error::Network {
                method: "advance",
                ..
            }
        ),
        "{why}"
    );
    let narrow = encoded().narrow(2, 0, J - 1);
    assert!(states(&head, &narrow).is_err());
}

#[test]
fn weights_that_do_not_fit_each_other_are_refused() {
    fn zeros(size: &[i64]) -> Tensor {
        Tensor::zeros(size, (Kind::Float, Device::Cpu))
    }
    type Harm = fn(&mut ArchiveWeights);
    let harm: [(&str, Harm); 12] = [
        ("no token", |it| it.token_gates = zeros(&[0, 4 * H])),
        ("no number", |it| it.token_gates = zeros(&[V + 1, 0])),
        ("no table", |it| it.token_gates = zeros(&[4 * H])),
        ("three gates", |it| it.token_gates = zeros(&[V + 1, 3 * H])),
        ("no layer", |it| it.hidden_gates.clear()),
        ("another layer", |it| {
            it.hidden_gates.push(zeros(&[4 * H, H]))
        }),
        ("a wide layer", |it| it.hidden_gates[1] = zeros(&[5 * H, H])),
        ("a short bias", |it| {
            it.input_gates[0].1 = zeros(&[4 * H - 1])
        }),
        ("a narrow projection", |it| {
            it.projection.0 = zeros(&[J, H - 1])
        }),
        ("another joint", |it| it.projection.0 = zeros(&[J + 1, H])),
        ("too many classes", |it| {
            it.scores.0 = zeros(&[V + 2 + D, J])
        }),
        ("no duration", |it| {
            it.durations = Tensor::from_slice::<i64>(&[])
        }),
    ];
    for (what, harm) in harm {
        let mut weights = weights(JointActivation::Relu, Kind::Float);
        harm(&mut weights);
        assert!(weights.check().is_err(), "{what}");
    }
    let why = JointActivation::named("gelu").expect_err("no joint has it");
    assert!(why.to_string().contains("gelu"), "{why}");
}

#[test]
fn the_first_of_equals_wins() {
    let mut weights = weights(JointActivation::Relu, Kind::Float);
    let equal = |tensor: &Tensor| tensor.zeros_like();
    weights.scores = (equal(&weights.scores.0), equal(&weights.scores.1));
    for score in emissions(&head(&weights, false)) {
        assert_eq!(score[..2], [0.0, 0.0]);
        assert!((score[2] + (V as f32 + 1.0).ln()).abs() < 1e-6, "{score:?}");
    }
}

#[test]
fn the_curves_are_their_formulas() {
    for i in -20_000..20_000 {
        let x = i as f32 * 0.001;
        let exact = f64::from(x).tanh();
        assert!((f64::from(lstm::tanh(x)) - exact).abs() < 3e-7, "{x}");
        let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
        assert!((f64::from(lstm::sigmoid(x)) - exact).abs() < 3e-7, "{x}");
    }
}
