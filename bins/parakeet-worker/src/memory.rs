//! Main memory that transcribing takes on a CPU, planned from what was measured.

use std::fmt;

use dalston_engine_sdk::audio::SAMPLE_RATE_HZ;
use parakeet_model::{Device, ParakeetModel};

use crate::engine::Settings;
use crate::settings::bytes_per_second;

/// What a run should hold at its peak, in bytes. `benches/memory.py` compares it with what one holds: at
/// most 6 % apart for rnnt-0.6b in every type. Loading the tiny model takes more for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The program, its libraries, and what they keep for themselves.
    pub program: u64,
    /// The weights.
    pub weights: u64,
    /// What the encoder makes of the audio that it takes at once.
    pub encoder: u64,
    /// Samples of the recordings that are open.
    pub recordings: u64,
}

impl MemoryPlan {
    /// Plans a run over recordings of which `held_s` seconds are in memory at once. `None` on a GPU,
    /// which has memory of its own.
    pub fn of(model: &ParakeetModel, settings: &Settings, held_s: f64) -> Option<Self> {
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

    /// All of it.
    pub fn total(&self) -> u64 {
        self.program + self.weights + self.encoder + self.recordings
    }
}

/// Measured: what remains of the peak of rnnt-0.6b without the rest.
const PROGRAM: u64 = 330_000_000;

/// Measured: what the allocator keeps of chunks of other lengths, whatever their number. It would give it back
/// for a half more of the encoder's time.
const KEPT: u64 = 110_000_000;

/// Float32 at 16 kHz.
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
