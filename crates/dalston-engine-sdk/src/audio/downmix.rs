//! Averages the channels of a decoded packet into one.
//!
//! All channels have equal weight. So a call with one speaker per channel keeps both speakers, the sum never
//! clips, and the order of the channels does not matter. A voice in opposite phase on two channels cancels
//! out, as on any mono loudspeaker.

use symphonia::core::audio::conv::IntoSample;
use symphonia::core::audio::sample::Sample;
use symphonia::core::audio::{Audio, AudioBuffer, GenericAudioBufferRef as Packet};

/// The faults of the samples so far.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    /// NaN and infinite samples, counted in every channel.
    pub(super) n_not_finite: u64,
    /// Largest magnitude after the mean, before clamping.
    pub(super) peak: f32,
}

/// Appends the mean of all channels to `mono`, without the first `skip` frames of the packet.
///
/// Integers become `x / 2^(bits - 1)`, which for one channel of up to 24 bits is exact in `f32`. The
/// result is finite and in [-1, 1].
pub(super) fn downmix(packet: &Packet<'_>, skip: usize, mono: &mut Vec<f32>, flaws: &mut Flaws) {
    match packet {
        Packet::U8(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::U16(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::U24(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::U32(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::S8(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::S16(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::S24(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::S32(buffer) => mean_of_integers(buffer, skip, mono),
        Packet::F32(buffer) => mean_of_floats(buffer, skip, mono, flaws, |x| x),
        // A finite number beyond the range of f32 must not become infinite here: it is clamped and
        // reported as out of range.
        Packet::F64(buffer) => mean_of_floats(buffer, skip, mono, flaws, |x| {
            if x.is_finite() {
                x.clamp(f32::MIN.into(), f32::MAX.into()) as f32
            } else {
                f32::NAN
            }
        }),
    }
}

fn mean_of_integers<S>(buffer: &AudioBuffer<S>, skip: usize, mono: &mut Vec<f32>)
where
    S: Sample + IntoSample<f32>,
{
    mean(buffer, skip, mono, |sample| sample.into_sample());
}

fn mean_of_floats<S: Sample>(
    buffer: &AudioBuffer<S>,
    skip: usize,
    mono: &mut Vec<f32>,
    flaws: &mut Flaws,
    convert: impl Fn(S) -> f32,
) {
    let mut n_not_finite = 0;
    let mean = mean(buffer, skip, mono, |sample| {
        let x = convert(sample);
        n_not_finite += u64::from(!x.is_finite());
        if x.is_finite() { x } else { 0.0 }
    });
    for x in mean {
        flaws.peak = flaws.peak.max(x.abs());
        *x = x.clamp(-1.0, 1.0);
    }
    flaws.n_not_finite += n_not_finite;
}

/// Appends the mean to `mono` and returns the appended part.
fn mean<'m, S: Sample>(
    buffer: &AudioBuffer<S>,
    skip: usize,
    mono: &'m mut Vec<f32>,
    mut convert: impl FnMut(S) -> f32,
) -> &'m mut [f32] {
    let start = mono.len();
    let mut planes = (0..buffer.num_planes()).filter_map(|idx| buffer.plane(idx)?.get(skip..));
    if let Some(first) = planes.next() {
        mono.extend(first.iter().map(|&sample| convert(sample)));
    }
    let mean = &mut mono[start..];
    for plane in planes {
        for (sum, &sample) in mean.iter_mut().zip(plane) {
            *sum += convert(sample);
        }
    }
    if buffer.num_planes() > 1 {
        let n_channels = buffer.num_planes() as f32;
        for sum in mean.iter_mut() {
            *sum /= n_channels;
        }
    }
    mean
}
