//! Plans the main memory that `transcribe` takes on a CPU, from measured figures.

use std::fmt;

use dalston_engine_sdk::audio::SAMPLE_RATE_HZ;
use parakeet_model::{Device, ParakeetModel};

use crate::settings::{Settings, bytes_per_second};

/// Planned peak of resident memory, in bytes by use. `benches/memory.py` compares plan and measurement: they
/// differ by at most 6 % for rnnt-0.6b in every compute type. The tiny model exceeds its plan for a moment
/// while it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryPlan {
    /// The program, its libraries, and the memory that their allocators keep.
    program: u64,
    /// The weights.
    weights: u64,
    /// Activations of the encoder for the largest pass.
    encoder: u64,
    /// Samples of the open recordings.
    recordings: u64,
}

impl MemoryPlan {
    /// Plans a run that holds at most `held_s` seconds of recordings in memory at the same time. `None` on a
    /// GPU, whose own memory holds weights and activations.
    pub(super) fn of(model: &ParakeetModel, settings: &Settings, held_s: f64) -> Option<Self> {
        let rules = &settings.chunk_rules;
        let chunk = rules.max_frames.get() * rules.stride.get();
        let batch = chunk * settings.batch_size.get();
        let pass = batch.min(model.pass_samples()).max(chunk);
        let has_several = held_s * f64::from(SAMPLE_RATE_HZ) > chunk as f64;
        (model.device() == Device::Cpu).then(|| Self {
            program: PROGRAM + if has_several { KEPT } else { 0 },
            weights: model.weight_bytes(),
            encoder: pass as u64 * bytes_per_second(model.compute_type())
                / u64::from(SAMPLE_RATE_HZ),
            recordings: (held_s * BYTES_PER_SECOND_HELD) as u64,
        })
    }

    /// The sum of all uses.
    fn total(&self) -> u64 {
        self.program + self.weights + self.encoder + self.recordings
    }
}

/// Measured: the peak of rnnt-0.6b minus all other uses.
const PROGRAM: u64 = 330_000_000;

/// Measured: what the allocator keeps between chunks of different lengths, whatever their number. An allocator
/// that gives this memory back makes the encoder 1.5 times as slow.
const KEPT: u64 = 110_000_000;

/// Four bytes per sample at 16 kHz.
const BYTES_PER_SECOND_HELD: f64 = 64_000.0;

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes / (1 << 20);
        write!(
            f,
            "{} MiB: program {}, weights {}, encoder {}, recordings {}",
            mib(self.total()),
            mib(self.program),
            mib(self.weights),
            mib(self.encoder),
            mib(self.recordings)
        )
    }
}
