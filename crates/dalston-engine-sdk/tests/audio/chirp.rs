//! The sound of all recordings in `tests/data/audio`, and the measure of how far a decoded sound differs.

use std::f64::consts::TAU;

/// Length of the chirp in samples at 16 kHz.
pub(crate) const N_SAMPLES: usize = 8_000;

/// Half a second from 200 to 3000 Hz at half of full scale: the formula of `generate.sh`.
pub(crate) fn at(time_s: f64) -> f64 {
    0.5 * (TAU * (200.0 * time_s + 2_800.0 * time_s * time_s)).sin()
}

/// How a decoded sound differs from the chirp.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Delay of the sound in samples.
    pub(crate) delay: usize,
    /// Power of the difference from the chirp over the power of the chirp, without its two ends.
    pub(crate) error_db: f64,
}

/// Finds the delay of up to 600 samples that fits best.
pub(crate) fn compare(samples: &[f32]) -> Difference {
    // The ends are left out, because no band-limited sound can have the step at either end.
    let middle = 500..N_SAMPLES - 2_500;
    let expected: Vec<f64> = middle
        .clone()
        .map(|idx| at(idx as f64 / 16_000.0))
        .collect();
    let power: f64 = expected.iter().map(|x| x * x).sum();
    let error_at = |delay: usize| -> f64 {
        let sound = samples.iter().skip(middle.start + delay);
        let error = expected
            .iter()
            .zip(sound)
            .map(|(x, &y)| (x - f64::from(y)).powi(2));
        error.sum::<f64>() / power
    };
    let delay = (0..600)
        .min_by(|&a, &b| error_at(a).total_cmp(&error_at(b)))
        .expect("the range is not empty");
    Difference {
        delay,
        error_db: 10.0 * error_at(delay).log10(),
    }
}
