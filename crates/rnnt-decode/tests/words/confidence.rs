//! The confidence of words.

use crate::{clock, words_of};

/// Checks the first word's confidence. The vocabulary is as large as the list of tokens.
#[track_caller]
fn check(tokens: &str, expected: Option<f32>) {
    let confidence = words_of(tokens, &clock(160_000))[0].confidence;
    // Half a unit of the fourth digit, because the log probabilities below have five digits.
    let close = |(a, b): (f32, f32)| (a - b).abs() < 5e-5;
    assert!(
        confidence
            .zip(expected)
            .map_or(confidence == expected, close),
        "{confidence:?}, expected {expected:?}"
    );
}

#[test]
fn certainty_is_a_confidence_of_1() {
    check("▁a@1+1*0", Some(1.0));
}

#[test]
fn a_guess_among_all_symbols_is_a_confidence_of_0() {
    // The log probability is ln(1/4), and the four symbols are three pieces and blank.
    check("▁a@1+1*-1.38629 b@2 c@3", Some(0.0));
}

#[test]
fn a_probability_below_a_guess_is_a_confidence_of_0() {
    check("▁a@1+1*-9 b@2 c@3", Some(0.0));
}

#[test]
fn a_word_is_as_sure_as_its_least_sure_token() {
    // The probabilities are 0.9 and 0.7. With four symbols the confidence is (0.7 x 4 - 1) / 3.
    check("▁a@1+1*-0.10536 b@2+1*-0.35667 c@3+1*0", Some(0.6));
}

#[test]
fn a_token_without_probability_leaves_its_word_without_confidence() {
    check("▁a@1+1*0 b@2+1*NaN c@3+1*0", None);
}
