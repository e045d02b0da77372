//! No sound makes a compute type overflow. Compute types of bytes give the same tokens in any batch.

use parakeet_model::{ComputeType, ParakeetModel};
use rnnt_decode::{Hypothesis, SearchRules, search};

use crate::batches::{check_same_in_random_batches, slices};
use crate::exported::{TYPES, load_typed};
use crate::tiny::recordings;

/// The hypotheses of a batch. A score that is not finite would be an error, so all scores are finite.
#[track_caller]
fn recognize(model: &ParakeetModel, batch: &[&[f32]]) -> Vec<Hypothesis> {
    let mut utterances = model.encode(batch).expect("the batch is encoded");
    let found = search(&mut utterances, &SearchRules::default());
    let compute_type = model.compute_type();
    found
        .unwrap_or_else(|why| panic!("{compute_type}: {why}"))
        .hypotheses
}

fn n_tokens(hypothesis: &Hypothesis) -> usize {
    hypothesis.tokens.len()
}

#[test]
fn no_sound_makes_a_compute_type_overflow_or_fall_silent() {
    let speech = &recordings(3)[1];
    let peak = speech.iter().fold(0.0_f32, |peak, it| peak.max(it.abs()));
    let changed = |change: &dyn Fn(f32) -> f32| -> Vec<f32> {
        speech.iter().map(|&sample| change(sample)).collect()
    };
    // Name, samples, and the least and the most tokens that are expected, relative to those of the clean
    // speech.
    let sounds = [
        ("as it is", changed(&|it| it), 0.9, 1.1),
        ("as loud as can be", changed(&|it| it / peak), 0.8, 1.2),
        ("a thousandth as loud", changed(&|it| it / 1000.0), 0.5, 1.5),
        (
            "clipped",
            changed(&|it| (it * 30.0 / peak).clamp(-1.0, 1.0)),
            0.2,
            3.0,
        ),
        ("shifted", changed(&|it| (0.5 * it / peak) + 0.5), 0.5, 1.5),
        ("full scale all through", changed(&|_| 1.0), 0.0, 3.0),
        (
            "full scale, turned every sample",
            square(speech.len(), 1),
            0.0,
            3.0,
        ),
        ("full scale at 100 Hz", square(speech.len(), 80), 0.0, 3.0),
        ("silence", vec![0.0; speech.len()], 0.0, 0.2),
        (
            "next to silence",
            vec![f32::MIN_POSITIVE; speech.len()],
            0.0,
            0.2,
        ),
    ];
    for model in TYPES.into_iter().filter_map(load_typed) {
        let compute_type = model.compute_type();
        let clean = n_tokens(&recognize(&model, &[speech])[0]) as f64;
        assert!(
            clean > 5.0,
            "{compute_type}: {clean} tokens in clean speech"
        );
        for (name, samples, least, most) in &sounds {
            let recognized = n_tokens(&recognize(&model, &[samples])[0]) as f64 / clean;
            println!("{compute_type}, {name}: {recognized:.2} of the clean speech's tokens");
            assert!(
                (*least..=*most).contains(&recognized),
                "{compute_type}, {name}: {recognized:.2} of the clean speech's tokens, expected {least} to \
                 {most}"
            );
        }
    }
}

/// A square wave of full scale whose sign changes after every `half_period` samples.
fn square(n_samples: usize, half_period: usize) -> Vec<f32> {
    let sign = |sample: usize| {
        if (sample / half_period).is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    };
    (0..n_samples).map(sign).collect()
}

#[test]
fn bytes_hear_alone_what_they_hear_in_20_random_batches() {
    for compute_type in [ComputeType::Int8, ComputeType::Int8Float32] {
        if let Some(model) = load_typed(compute_type) {
            check_same_in_random_batches(&model, &slices(&recordings(12)));
        }
    }
}
