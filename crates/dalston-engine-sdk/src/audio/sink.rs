//! Takes decoded packets: mixes them down, resamples them, and counts their faults.

use symphonia::core::audio::GenericAudioBufferRef;

use super::downmix::{Flaws, downmix};
use super::error::{AudioError, AudioWarning};
use super::resample::Resampler;
use super::waveform::{AudioLimits, SAMPLE_RATE_HZ};

/// Smallest peak that is reported, in multiples of full scale. Lossy codecs overshoot by a little; twice full
/// scale means that the file was written with another scale.
const REPORTED_PEAK: f32 = 2.0;

/// The samples at 16 kHz so far, and their faults.
pub(super) struct Sink {
    samples: Vec<f32>,
    max_duration_s: f64,
    /// Rate and channels of the first packet.
    pub(super) first_format: Option<(u32, usize)>,
    /// Rate and channels of the last packet.
    format: Option<(u32, usize)>,
    /// `None` while packets arrive at 16 kHz.
    resampler: Option<Resampler>,
    /// The current packet, mixed down. A field only so that its memory is used again.
    mono: Vec<f32>,
    flaws: Flaws,
    pub(super) n_bad_packets: u64,
    silence_s: f64,
}

impl Sink {
    pub(super) fn new(limits: &AudioLimits) -> Self {
        Self {
            samples: Vec::new(),
            max_duration_s: limits.max_duration_s,
            first_format: None,
            format: None,
            resampler: None,
            mono: Vec::new(),
            flaws: Flaws::default(),
            n_bad_packets: 0,
            silence_s: 0.0,
        }
    }

    /// Takes a packet without its first `skip` frames. Rate and channels may differ from those of the previous
    /// packet.
    pub(super) fn push(
        &mut self,
        sound: &GenericAudioBufferRef<'_>,
        skip: usize,
    ) -> Result<(), AudioError> {
        let format = (sound.spec().rate(), sound.spec().channels().count());
        if self.format != Some(format) {
            check_format(Some(format.0), Some(format.1))?;
            if self.format.map(|(rate, _)| rate) != Some(format.0) {
                self.flush();
                let is_different = format.0 != SAMPLE_RATE_HZ;
                self.resampler = is_different.then(|| Resampler::new(format.0));
            }
            self.format = Some(format);
            self.first_format.get_or_insert(format);
        }
        match &mut self.resampler {
            None => downmix(sound, skip, &mut self.samples, &mut self.flaws),
            Some(resampler) => {
                self.mono.clear();
                downmix(sound, skip, &mut self.mono, &mut self.flaws);
                resampler.push(&self.mono, &mut self.samples);
            }
        }
        self.check_duration()
    }

    /// Puts silence in place of missing audio.
    pub(super) fn push_silence(&mut self, duration_s: f64) -> Result<(), AudioError> {
        self.silence_s += duration_s;
        let rate_hz = self.format.map_or(SAMPLE_RATE_HZ, |(rate, _)| rate);
        let n_samples = (duration_s * f64::from(rate_hz)).round() as usize;
        match &mut self.resampler {
            None => self.samples.resize(self.samples.len() + n_samples, 0.0),
            Some(resampler) => resampler.push(&vec![0.0; n_samples], &mut self.samples),
        }
        self.check_duration()
    }

    /// Returns the samples and the warnings about them.
    pub(super) fn finish(mut self) -> Result<(Vec<f32>, Vec<AudioWarning>), AudioError> {
        self.flush();
        self.check_duration()?;
        let mut warnings = Vec::new();
        if self.n_bad_packets > 0 || self.silence_s > 0.0 {
            let Self {
                n_bad_packets: n_packets,
                silence_s,
                ..
            } = self;
            warnings.push(AudioWarning::Damaged {
                n_packets,
                silence_s,
            });
        }
        if self.flaws.n_not_finite > 0 {
            warnings.push(AudioWarning::NotFinite {
                n_samples: self.flaws.n_not_finite,
            });
        }
        if self.flaws.peak >= REPORTED_PEAK {
            warnings.push(AudioWarning::OutOfRange {
                peak: self.flaws.peak,
            });
        }
        Ok((self.samples, warnings))
    }

    fn flush(&mut self) {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut self.samples);
        }
    }

    fn check_duration(&self) -> Result<(), AudioError> {
        let max_duration_s = self.max_duration_s;
        if self.samples.len() as f64 > max_duration_s * f64::from(SAMPLE_RATE_HZ) {
            return Err(AudioError::TooLong { max_duration_s });
        }
        Ok(())
    }
}

/// Refuses rates outside 8 to 192 kHz and numbers of channels outside 1 to 8, where they are known.
///
/// A resampler for an absurd rate, or buffers for 65 535 channels, would take all memory of the process.
/// Eight channels are 7.1 surround.
pub(super) fn check_format(
    rate_hz: Option<u32>,
    n_channels: Option<usize>,
) -> Result<(), AudioError> {
    match (rate_hz, n_channels) {
        (Some(actual_hz), _) if !(8_000..=192_000).contains(&actual_hz) => {
            Err(AudioError::UnsupportedSampleRate { actual_hz })
        }
        (_, Some(actual)) if !(1..=8).contains(&actual) => {
            Err(AudioError::UnsupportedChannels { actual })
        }
        _ => Ok(()),
    }
}
