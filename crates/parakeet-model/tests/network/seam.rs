//! The seam with `rnnt-decode` on a real network, which could mix lanes up where a scripted network cannot.

use std::num::NonZeroUsize;

use crate::tiny::{MODEL, recognize, recordings};
use parakeet_model::{Error, Utterances};
use rnnt_decode::{Emission, Lane, Transducer as _, Window};

fn encode(recordings: &[Vec<f32>]) -> Utterances<'static> {
    let batch: Vec<_> = recordings.iter().map(Vec::as_slice).collect();
    MODEL.encode(&batch).expect("the batch is encoded")
}

fn score(utterances: &mut Utterances, lanes: &[Lane], window: usize) -> Vec<Emission> {
    let mut emissions = Vec::new();
    utterances
        .score(lanes, window, &mut emissions)
        .expect("the lanes are scored");
    assert_eq!(emissions.len(), lanes.len() * window);
    emissions
}

fn lane(utterance: usize, frame: usize) -> Lane {
    Lane { utterance, frame }
}

/// Asserts the same tokens and durations, and the same log-probabilities up to float noise.
#[track_caller]
fn check_same(actual: &[Emission], expected: &[Emission]) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert_eq!(actual.token, expected.token);
        assert_eq!(actual.duration, expected.duration);
        assert!(
            (actual.log_prob - expected.log_prob).abs() < 1e-4,
            "{actual:?} {expected:?}"
        );
    }
}

#[test]
fn a_window_of_1_finds_what_a_window_of_64_finds() {
    let recordings = recordings(8);
    let batch: Vec<_> = recordings.iter().map(Vec::as_slice).collect();
    let fixed = |window| Window::Fixed(NonZeroUsize::new(window).expect("not 0"));
    let steps = |window| -> Vec<Vec<_>> {
        let recognized = recognize(&batch, window);
        recognized
            .iter()
            .map(|it| it.tokens.iter().map(|t| (t.id, t.frame)).collect())
            .collect()
    };
    let expected = steps(fixed(1));
    assert!(
        expected.iter().any(|tokens| !tokens.is_empty()),
        "nothing is recognized at all"
    );
    for window in [fixed(2), fixed(7), fixed(64), Window::default()] {
        assert_eq!(steps(window), expected, "{window:?}");
    }
}

#[test]
fn lanes_are_answered_in_the_order_asked() {
    let mut utterances = encode(&recordings(4));
    let lanes = [lane(0, 3), lane(1, 0), lane(2, 7), lane(3, 1)];
    let emissions = score(&mut utterances, &lanes, 5);
    for order in [[3, 2, 1, 0], [1, 3, 0, 2]] {
        let asked = order.map(|at| lanes[at]);
        let expected: Vec<_> = order
            .iter()
            .flat_map(|at| &emissions[at * 5..][..5])
            .copied()
            .collect();
        check_same(&score(&mut utterances, &asked, 5), &expected);
    }
    for (at, lane) in lanes.iter().enumerate() {
        check_same(
            &score(&mut utterances, &[*lane], 5),
            &emissions[at * 5..][..5],
        );
    }
}

#[test]
fn a_window_is_its_frames_one_by_one() {
    let mut utterances = encode(&recordings(2));
    let together = score(&mut utterances, &[lane(1, 2)], 6);
    for (ahead, emission) in together.iter().enumerate() {
        check_same(
            &score(&mut utterances, &[lane(1, 2 + ahead)], 1),
            &[*emission],
        );
    }
}

#[test]
fn a_token_changes_its_own_utterance_and_no_other() {
    let mut utterances = encode(&recordings(3));
    let lanes = [lane(0, 4), lane(1, 4), lane(2, 4)];
    let before = score(&mut utterances, &lanes, 8);
    utterances.advance(&[(1, 5)]).expect("the token is fed");
    let after = score(&mut utterances, &lanes, 8);
    assert_eq!(after[..8], before[..8]);
    assert_ne!(after[8..16], before[8..16]);
    assert_eq!(after[16..], before[16..]);
}

#[test]
fn tokens_fed_together_are_tokens_fed_one_by_one() {
    let recordings = recordings(3);
    let lanes = [lane(0, 4), lane(1, 4), lane(2, 4)];
    let mut one_by_one = encode(&recordings);
    for (utterance, token) in [(0, 3), (1, 4), (2, 5), (0, 6), (2, 7)] {
        one_by_one
            .advance(&[(utterance, token)])
            .expect("the token is fed");
    }
    let mut together = encode(&recordings);
    together
        .advance(&[(2, 5), (0, 3), (1, 4)])
        .expect("the tokens are fed");
    together
        .advance(&[(2, 7), (0, 6)])
        .expect("the tokens are fed");
    check_same(
        &score(&mut together, &lanes, 8),
        &score(&mut one_by_one, &lanes, 8),
    );
}

#[test]
fn log_probabilities_are_not_above_zero_and_durations_are_those_of_an_rnnt() {
    let mut utterances = encode(&recordings(2));
    for emission in score(&mut utterances, &[lane(0, 0), lane(1, 0)], 40) {
        assert!(emission.log_prob <= 0.0, "{emission:?}");
        assert!(emission.token <= utterances.blank(), "{emission:?}");
        assert_eq!(
            emission.duration,
            u32::from(emission.token == utterances.blank())
        );
    }
}

#[test]
fn an_utterance_longer_than_the_network_takes_is_refused_by_its_row() {
    let max_samples = MODEL.manifest().max_samples;
    let too_long = vec![0.0; max_samples + 1];
    let why = MODEL
        .encode(&[&too_long[1..], &too_long])
        .err()
        .expect("it is too long");
    assert!(matches!(why, Error::TooLong { utterance: 1, .. }), "{why}");
    assert_eq!(
        why.to_string(),
        format!(
            "utterance 1 of the batch has {} samples, expected at most {max_samples}",
            max_samples + 1
        )
    );
}

#[test]
fn the_longest_utterance_that_the_manifest_allows_is_encoded() {
    let longest = vec![0.0; MODEL.manifest().max_samples];
    let utterances = MODEL.encode(&[&longest]).expect("it is not too long");
    assert_eq!(
        utterances.n_encoder_frames(),
        [longest.len() / MODEL.manifest().stride_samples()]
    );
}

#[test]
fn a_batch_without_utterances_is_refused() {
    assert!(matches!(MODEL.encode(&[]).err(), Some(Error::EmptyBatch)));
}

#[test]
fn a_token_outside_the_vocabulary_is_an_error_and_no_crash() {
    let mut utterances = encode(&recordings(1));
    let why = utterances
        .advance(&[(0, 1_000_000)])
        .expect_err("there is no such token");
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
}
