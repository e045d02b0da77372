//! The settings of a transcription, and their defaults for a model and its device.

use std::num::NonZeroUsize;

use dalston_engine_sdk::audio::{AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::{ComputeType, ModelManifest, ParakeetModel};
use rnnt_decode::SearchRules;
use segmenter::ChunkRules;

/// How recordings are cut, batched and searched: what all recordings that share batches have in common.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most chunks in one encoder batch. On a GPU several encoder batches are searched together.
    pub batch_size: NonZeroUsize,
    /// Which audio is refused.
    pub audio_limits: AudioLimits,
    /// Where long audio is cut.
    pub chunk_rules: ChunkRules,
    /// How emissions are searched.
    pub search_rules: SearchRules,
}

/// Longest chunk of a task in seconds, unless the network takes less.
const CHUNK_SECONDS: f64 = 30.0;

impl Settings {
    /// The defaults for a model on its device. On a GPU they stay within `vram_budget` bytes of its memory,
    /// weights included, or within all that is free.
    pub fn of(model: &ParakeetModel, vram_budget: Option<u64>) -> Self {
        let manifest = model.manifest();
        let seconds = CHUNK_SECONDS.min(longest_chunk(manifest));
        Self {
            batch_size: batch_size(model, seconds, vram_budget),
            audio_limits: AudioLimits::default(),
            chunk_rules: chunk_rules(seconds, manifest)
                .expect("reading a manifest whose network takes no frame is an error"),
            search_rules: SearchRules {
                window: model.window(),
                ..SearchRules::default()
            },
        }
    }
}

/// Most chunks of `seconds` in one encoder batch on the device of a model.
fn batch_size(model: &ParakeetModel, seconds: f64, vram_budget: Option<u64>) -> NonZeroUsize {
    match model.device_memory() {
        None => const { NonZeroUsize::new(4).expect("4 is not 0") },
        Some(memory) => {
            let left = vram_budget.map_or(u64::MAX, |budget| budget.saturating_sub(memory.held));
            fitting(
                (memory.free + memory.kept).min(left),
                seconds,
                model.compute_type(),
            )
        }
    }
}

/// Most chunks of `seconds` in one encoder batch that takes `bytes` of a GPU's memory.
fn fitting(bytes: u64, seconds: f64, compute_type: ComputeType) -> NonZeroUsize {
    // The other 30 % are for the samples of the batches before and after (64 kB per second, in eight of them),
    // for the search, and for free memory in pieces too small to use.
    let room = 0.7 * bytes as f64 / (seconds * bytes_per_second(compute_type) as f64);
    let size = (room as usize).clamp(1, LARGEST_BATCH);
    NonZeroUsize::new(size).expect("at least 1")
}

/// Memory that the encoder takes for a second of audio, at the model width of 1024 that all large Parakeets
/// have. Measured: 5.9 GB for 128 chunks of 30 s in 16-bit types on an H100, and as much per second on a CPU.
pub(crate) fn bytes_per_second(compute_type: ComputeType) -> u64 {
    match compute_type {
        ComputeType::Float32 | ComputeType::Int8Float32 => 3_200_000,
        _ => 1_600_000,
    }
}

/// Larger encoder batches are no faster. Measured against 128 chunks of 30 s on an H100: 64 are 1 % slower, 32
/// are 7 %.
const LARGEST_BATCH: usize = 128;

/// Rules for chunks of at most `seconds`; `None` if that is less than one frame or more than the network takes.
pub(crate) fn chunk_rules(seconds: f64, manifest: &ModelManifest) -> Option<ChunkRules> {
    let stride = NonZeroUsize::new(manifest.stride_samples())?;
    let max_frames = (seconds * f64::from(SAMPLE_RATE_HZ)) as usize / stride;
    let fits = max_frames <= manifest.max_samples / stride;
    let max_frames = NonZeroUsize::new(max_frames)?;
    fits.then(|| ChunkRules::of_length(stride, max_frames))
}

/// The longest chunk that the network takes, in seconds.
pub(crate) fn longest_chunk(manifest: &ModelManifest) -> f64 {
    let stride = manifest.stride_samples();
    (manifest.max_samples / stride * stride) as f64 / f64::from(SAMPLE_RATE_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_its_memory_and_the_card_allow() {
        let size = |bytes, compute_type| fitting(bytes, 30.0, compute_type).get();
        assert_eq!(size(10_000_000_000, ComputeType::Bfloat16), 128);
        assert_eq!(size(2_000_000_000, ComputeType::Bfloat16), 29);
        assert_eq!(size(2_000_000_000, ComputeType::Float32), 14);
        assert_eq!(size(0, ComputeType::Bfloat16), 1, "one is tried at least");
    }
}
