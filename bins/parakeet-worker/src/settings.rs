//! The settings that hold where nobody says otherwise.

use std::num::NonZeroUsize;

use dalston_engine_sdk::audio::{AudioLimits, SAMPLE_RATE_HZ};
use parakeet_model::{Device, ModelManifest, ParakeetModel};
use rnnt_decode::SearchRules;
use segmenter::{ChunkRules, SegmentRules};

use crate::engine::Settings;

/// Longest chunk in seconds, where the network takes so much.
pub const CHUNK_SECONDS: f64 = 30.0;

impl Settings {
    /// What suits this model on its device.
    pub fn of(model: &ParakeetModel) -> Self {
        let batch_size = match model.device() {
            Device::Cuda => const { NonZeroUsize::new(32).expect("32 is not 0") },
            _ => const { NonZeroUsize::new(4).expect("4 is not 0") },
        };
        let manifest = model.manifest();
        let seconds = CHUNK_SECONDS.min(longest_chunk(manifest));
        Self {
            batch_size,
            audio_limits: AudioLimits::default(),
            chunk_rules: chunk_rules(seconds, manifest)
                .expect("a manifest with room for no frame is refused when it is read"),
            search_rules: SearchRules {
                window: model.window(),
                ..SearchRules::default()
            },
            segment_rules: SegmentRules::default(),
        }
    }
}

/// Chunks of at most `seconds`; `None` if that is not one frame, or more than
/// the network takes.
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
