//! How well rates are converted: level, aliases, images, position and length.

use std::f64::consts::TAU;

use crate::read;
use crate::wave_file::WaveFile;

/// The rates of telephones, CDs, video and radio, and one that shares no divisor with 16 000.
const RATES_HZ: [u32; 10] = [
    8_000, 11_025, 12_000, 22_050, 32_000, 44_099, 44_100, 48_000, 96_000, 192_000,
];

fn resample(rate_hz: u32, samples: &[f32]) -> Vec<f32> {
    read(&WaveFile::float_32(rate_hz, 1, samples).bytes())
        .unwrap()
        .samples
}

/// Half a second of a sine at half of full scale.
fn tone(rate_hz: u32, frequency_hz: f64) -> Vec<f32> {
    let at = |idx: u32| (TAU * frequency_hz * f64::from(idx) / f64::from(rate_hz)).sin();
    (0..rate_hz / 2).map(|idx| 0.5 * at(idx) as f32).collect()
}

/// Splits the middle of a sound at 16 kHz into a tone and the rest. Returns the levels of both in dB,
/// relative to a sine at half of full scale.
fn levels_db(samples: &[f32], frequency_hz: f64) -> (f64, f64) {
    // The ends, where the tone starts and stops, are left out. A Hann window reduces leakage in the fit.
    let middle = &samples[1_600..samples.len() - 1_600];
    let (mut sine, mut cosine) = (0.0, 0.0);
    let n = middle.len() as f64;
    for (idx, &x) in middle.iter().enumerate() {
        let phase = TAU * frequency_hz * idx as f64 / 16_000.0;
        let weight = 1.0 - (TAU * idx as f64 / n).cos();
        sine += weight * f64::from(x) * phase.sin() * 2.0 / n;
        cosine += weight * f64::from(x) * phase.cos() * 2.0 / n;
    }
    let rest = middle.iter().enumerate().map(|(idx, &x)| {
        let phase = TAU * frequency_hz * idx as f64 / 16_000.0;
        f64::from(x) - sine * phase.sin() - cosine * phase.cos()
    });
    let rest_amplitude = (rest.map(|x| x * x).sum::<f64>() / n * 2.0).sqrt();
    (
        20.0 * (sine.hypot(cosine) / 0.5).log10(),
        20.0 * (rest_amplitude / 0.5).log10(),
    )
}

#[test]
fn tones_up_to_0_43_of_the_lower_rate_keep_their_level_and_gain_no_image() {
    for rate_hz in RATES_HZ {
        let lower_hz = f64::from(rate_hz.min(16_000));
        for part in [0.01, 0.1, 0.25, 0.4, 0.43] {
            let frequency_hz = part * lower_hz;
            let resampled = resample(rate_hz, &tone(rate_hz, frequency_hz));
            let (level_db, rest_db) = levels_db(&resampled, frequency_hz);
            assert!(
                level_db.abs() < 0.1,
                "{rate_hz} Hz, tone {frequency_hz} Hz: {level_db} dB"
            );
            assert!(
                rest_db < -80.0,
                "{rate_hz} Hz, tone {frequency_hz} Hz: rest {rest_db} dB"
            );
        }
    }
}

#[test]
fn tones_from_0_57_of_the_lower_rate_on_vanish() {
    for rate_hz in RATES_HZ.into_iter().filter(|&rate| rate > 2 * 9_120) {
        let highest_hz = 0.499 * f64::from(rate_hz);
        for part in [0.0, 0.1, 0.3, 0.7, 1.0] {
            let frequency_hz = 9_120.0 + part * (highest_hz - 9_120.0);
            let resampled = resample(rate_hz, &tone(rate_hz, frequency_hz));
            // At frequency 0 no tone is fitted, so the whole sound counts as the rest.
            let (_, rest_db) = levels_db(&resampled, 0.0);
            assert!(
                rest_db < -80.0,
                "{rate_hz} Hz, tone {frequency_hz} Hz: {rest_db} dB"
            );
        }
    }
}

#[test]
fn n_samples_become_the_next_whole_number_at_16_khz() {
    for rate_hz in RATES_HZ {
        for n_samples in [1, 2, 1_151, 10_007] {
            let resampled = resample(rate_hz, &vec![0.1; n_samples]);
            let expected = (n_samples as u64 * 16_000).div_ceil(u64::from(rate_hz));
            assert_eq!(
                resampled.len() as u64,
                expected,
                "{n_samples} at {rate_hz} Hz"
            );
        }
    }
}

#[test]
fn a_click_stays_at_its_place_even_at_the_two_ends() {
    for rate_hz in RATES_HZ {
        let n_samples = 20_000;
        for place in [0, 7_777, n_samples - 1] {
            let mut samples = vec![0.0; n_samples];
            samples[place] = 1.0;
            let resampled = resample(rate_hz, &samples);
            let loudest = (0..resampled.len())
                .max_by(|&a, &b| resampled[a].abs().total_cmp(&resampled[b].abs()))
                .unwrap();
            let expected = place as f64 * 16_000.0 / f64::from(rate_hz);
            // If the click falls between two samples, or after the last one, a neighbour is loudest.
            let distance = (loudest as f64 - expected).abs();
            let is_last = loudest == resampled.len() - 1;
            assert!(
                distance <= 0.5 || (is_last && distance < 1.0),
                "click at {place} of {rate_hz} Hz is at {loudest}, expected {expected}"
            );
        }
    }
}

#[test]
fn full_scale_does_not_overshoot() {
    let square: Vec<f32> = (0..48_000)
        .map(|idx| if idx % 100 < 50 { 1.0 } else { -1.0 })
        .collect();
    assert!(resample(48_000, &square).iter().all(|x| x.abs() <= 1.0));
}
