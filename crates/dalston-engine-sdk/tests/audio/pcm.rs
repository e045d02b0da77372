//! Samples of every PCM kind, mixed down to one channel, keep their values.

use dalston_engine_sdk::audio::{AudioError, AudioWarning, Waveform};

use crate::read;
use crate::wave_file::WaveFile;

/// Reads 16 kHz mono, which is not resampled.
#[track_caller]
fn samples_of(format_tag: u16, bits: u16, data: &[u8]) -> Vec<f32> {
    read(&WaveFile::new(format_tag, bits, 16_000, 1, data.to_vec()).bytes())
        .unwrap()
        .samples
}

#[test]
fn every_16_bit_value_comes_out_as_itself_over_32768() {
    let values: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let waveform = read(&WaveFile::pcm_16(16_000, &values).bytes()).unwrap();
    let expected: Vec<f32> = values.iter().map(|&x| f32::from(x) / 32_768.0).collect();
    assert_eq!(waveform.samples, expected);
    assert_eq!(waveform.warnings, []);
}

#[test]
fn integers_of_other_widths_are_divided_by_their_full_scale() {
    assert_eq!(
        samples_of(1, 8, &[0, 64, 128, 255]),
        [-1.0, -0.5, 0.0, 127.0 / 128.0]
    );
    let bytes = [0, 0, 0x80, 0, 0, 0xc0, 1, 0, 0, 0xff, 0xff, 0x7f];
    let scale = 8_388_608.0;
    assert_eq!(
        samples_of(1, 24, &bytes),
        [-1.0, -0.5, 1.0 / scale, 8_388_607.0 / scale]
    );
    let bytes = [i32::MIN, i32::MIN / 2, 0, 1 << 30]
        .map(i32::to_le_bytes)
        .concat();
    assert_eq!(samples_of(1, 32, &bytes), [-1.0, -0.5, 0.0, 0.5]);
}

#[test]
fn floats_within_full_scale_come_out_unchanged() {
    let values = [-1.0, -0.1, 0.0, f32::MIN_POSITIVE, 0.7, 1.0];
    assert_eq!(
        samples_of(3, 32, &values.map(f32::to_le_bytes).concat()),
        values
    );
    let bytes = values.map(|x| f64::from(x).to_le_bytes()).concat();
    assert_eq!(samples_of(3, 64, &bytes), values);
}

#[test]
fn a_law_and_mu_law_follow_g_711() {
    // The largest and smallest magnitudes of both signs, in 16-bit integers.
    let a_law = samples_of(6, 8, &[0xaa, 0xd5, 0x55, 0x2a]).map_scale();
    assert_eq!(a_law, [32_256, 8, -8, -32_256]);
    let mu_law = samples_of(7, 8, &[0x80, 0xfe, 0xff, 0x7e, 0x00]).map_scale();
    assert_eq!(mu_law, [32_124, 8, 0, -8, -32_124]);
}

/// Converts samples back to 16-bit integers.
trait MapScale {
    fn map_scale(self) -> Vec<i32>;
}

impl MapScale for Vec<f32> {
    fn map_scale(self) -> Vec<i32> {
        self.into_iter().map(|x| (x * 32_768.0) as i32).collect()
    }
}

#[test]
fn an_extensible_header_is_read_like_a_plain_one() {
    let mut file = WaveFile::pcm_16(16_000, &[1, -2, 3]);
    file.format_tag = 0xfffe;
    let sub_format = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    // The length of the extension, valid bits, channel mask, sub-format.
    file.format_extension = [&[22, 0, 16, 0, 4, 0, 0, 0], &sub_format[..]].concat();
    let waveform = read(&file.bytes()).unwrap();
    assert_eq!(waveform.samples.map_scale(), [1, -2, 3]);
}

/// Frames of several channels at 16 kHz.
fn read_channels<const N: usize>(frames: &[[f32; N]]) -> Waveform {
    read(&WaveFile::float_32(16_000, N as u16, &frames.concat()).bytes()).unwrap()
}

#[test]
fn channels_are_averaged_with_equal_weight() {
    let stereo = [[0.5, 0.25], [1.0, 0.0], [0.0, -1.0], [0.5, -0.5]];
    assert_eq!(read_channels(&stereo).samples, [0.375, 0.5, -0.5, 0.0]);
    assert_eq!(read_channels(&[[0.75, 0.0, 0.0]]).samples, [0.25]);
    assert_eq!(
        read_channels(&[[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]]).samples,
        [-0.125]
    );
}

#[test]
fn a_sample_that_is_no_number_becomes_silence_in_its_channel_alone() {
    let frames = [
        [f32::NAN, 0.5],
        [f32::INFINITY, f32::NEG_INFINITY],
        [0.5, 0.5],
    ];
    let waveform = read_channels(&frames);
    assert_eq!(waveform.samples, [0.25, 0.0, 0.5]);
    assert_eq!(
        waveform.warnings,
        [AudioWarning::NotFinite { n_samples: 3 }]
    );
}

#[test]
fn samples_beyond_full_scale_are_clamped_and_gross_ones_reported() {
    let slightly = read_channels(&[[1.2], [-1.9], [0.3]]);
    assert_eq!(slightly.samples, [1.0, -1.0, 0.3]);
    assert_eq!(slightly.warnings, []);

    let grossly = read_channels(&[[-12_000.0], [0.0], [f32::MAX]]);
    assert_eq!(grossly.samples, [-1.0, 0.0, 1.0]);
    assert_eq!(
        grossly.warnings,
        [AudioWarning::OutOfRange { peak: f32::MAX }]
    );
}

#[test]
fn nine_channels_are_refused_and_eight_are_not() {
    let err = read(&WaveFile::float_32(16_000, 9, &[0.0; 18]).bytes()).unwrap_err();
    assert!(
        matches!(err, AudioError::UnsupportedChannels { actual: 9 }),
        "{err:?}"
    );
    assert_eq!(read_channels(&[[0.0; 8]; 5]).samples, [0.0; 5]);
}

#[test]
fn rates_from_8_to_192_khz_are_read_and_no_others() {
    for rate_hz in [8_000, 192_000] {
        let waveform = read(&WaveFile::pcm_16(rate_hz, &[0; 4_000]).bytes()).unwrap();
        assert_eq!(waveform.source.sample_rate_hz, rate_hz);
    }
    for rate_hz in [0, 1, 7_999, 192_001, u32::MAX] {
        let err = read(&WaveFile::pcm_16(rate_hz, &[0; 4_000]).bytes()).unwrap_err();
        let AudioError::UnsupportedSampleRate { actual_hz } = err else {
            panic!("{err:?}")
        };
        assert_eq!(actual_hz, rate_hz);
    }
}
