//! Rounds times and confidences for output.

/// Whole milliseconds of a time in seconds, which is not negative. Rounding keeps the order of times.
pub(super) fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// A time in seconds, rounded to whole milliseconds.
pub(super) fn rounded(seconds: f64) -> f64 {
    ms(seconds) as f64 / 1000.0
}

/// A confidence with four digits. Float32 holds seven, and a different batch changes the sixth: fewer digits
/// keep the output of one recording the same.
pub(super) fn rounded_confidence(confidence: f64) -> f64 {
    (confidence * 1e4).round() / 1e4
}
