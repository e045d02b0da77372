//! Resamples any sample rate to 16 kHz.
//!
//! The filter is a windowed sinc, applied by FFT, block by block. The block length sets how steep the filter
//! is: the passband is flat within 0.1 dB up to 0.43 of the lower of the two rates, and everything from 0.57
//! on is below -80 dB. `tests/audio/resampling.rs` measures both.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::waveform::SAMPLE_RATE_HZ;

/// Fewest samples of the lower rate in one block, which sets how steep the filter is.
const MIN_BLOCK: usize = 1024;

/// Resamples a stream of mono samples from one rate to 16 kHz.
///
/// There is no delay: the sample at time t of the input is at time t of the output. N samples become
/// ceil(N x 16 000 / rate).
pub(super) struct Resampler {
    rate_hz: u32,
    fft: Fft<f32>,
    /// Input that does not fill a block yet; shorter than a block.
    pending: Vec<f32>,
    n_in: u64,
    n_out: u64,
    /// Output samples still to drop at the start: the delay of the filter.
    n_delay: usize,
}

impl Resampler {
    /// `rate_hz` is positive. Memory and time grow with `rate_hz` if it shares no large divisor with 16 000.
    pub(super) fn new(rate_hz: u32) -> Self {
        let (rate, target) = (rate_hz as usize, SAMPLE_RATE_HZ as usize);
        let divisor = gcd(rate, target);
        let (unit_in, unit_out) = (rate / divisor, target / divisor);
        // An even number of units, so that the delay, half a block, is a whole number of samples at both
        // rates.
        let n_units = MIN_BLOCK
            .div_ceil(unit_in.min(unit_out))
            .next_multiple_of(2);
        let block = n_units * unit_in;
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(rate, target, block, 1, 1, window, FixedSync::Both)
            .expect("rates and block length are positive");
        let n_delay = fft.output_delay();
        Self {
            rate_hz,
            fft,
            pending: Vec::with_capacity(block),
            n_in: 0,
            n_out: 0,
            n_delay,
        }
    }

    /// Resamples all samples that fill whole blocks, appends the result to `out`, and keeps the rest.
    pub(super) fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        self.n_in += samples.len() as u64;
        let block = self.fft.input_frames_next();
        while self.pending.len() + samples.len() >= block {
            let (head, tail) = samples.split_at(block - self.pending.len());
            samples = tail;
            if self.pending.is_empty() {
                self.process(head, out);
            } else {
                let mut pending = std::mem::take(&mut self.pending);
                pending.extend_from_slice(head);
                self.process(&pending, out);
                pending.clear();
                self.pending = pending;
            }
        }
        self.pending.extend_from_slice(samples);
    }

    /// Ends the stream: resamples the rest and appends it to `out`.
    pub(super) fn finish(mut self, out: &mut Vec<f32>) {
        let n_total = (self.n_in * u64::from(SAMPLE_RATE_HZ)).div_ceil(self.rate_hz.into());
        let silence = vec![0.0; self.fft.input_frames_next()];
        while self.n_out < n_total {
            let n_missing = silence.len() - self.pending.len();
            self.push(&silence[..n_missing], out);
        }
        out.truncate(out.len() - (self.n_out - n_total) as usize);
    }

    fn process(&mut self, block: &[f32], out: &mut Vec<f32>) {
        let start = out.len();
        out.resize(start + self.fft.output_frames_next(), 0.0);
        let resampled = &mut out[start..];
        let n_resampled = resampled.len();
        let input = SequentialSlice::new(block, 1, block.len()).expect("one channel, its length");
        let mut output =
            SequentialSlice::new_mut(resampled, 1, n_resampled).expect("one channel, its length");
        self.fft
            .process_into_buffer(&input, &mut output, None)
            .expect("input and output are one block each");
        // The filter overshoots where the input is close to full scale.
        for x in &mut out[start..] {
            *x = x.clamp(-1.0, 1.0);
        }
        let n_dropped = self.n_delay.min(n_resampled);
        out.drain(start..start + n_dropped);
        self.n_delay -= n_dropped;
        self.n_out += (n_resampled - n_dropped) as u64;
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
