//! Loads the model that is measured, and rounds times for printing.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use parakeet_model::{ComputeType, Device, Error, ParakeetModel, set_threads};

/// Which model is measured, and on which device.
#[derive(Debug, Args)]
pub struct ModelArguments {
    /// A bundle's folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// auto, cpu or cuda.
    #[arg(long, default_value = "auto")]
    device: Device,
    /// float32, bfloat16, float16, int8, int8_float32 or auto.
    #[arg(long, default_value = "auto")]
    compute_type: ComputeType,
    /// CPU threads of one network operation.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

impl ModelArguments {
    /// Loads the model.
    ///
    /// # Errors
    ///
    /// Those of [`ParakeetModel::load`].
    pub fn load(&self) -> Result<ParakeetModel, Error> {
        set_threads(self.threads);
        ParakeetModel::load(&self.model, self.device, self.compute_type)
    }
}

/// A time in seconds, rounded to four decimals.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 1e4
}
