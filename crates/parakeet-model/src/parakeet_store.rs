//! Keeps loaded Parakeets, by bundle and compute type.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compute_type::ComputeType;
use crate::error::Error;
use crate::libtorch::device::Device;
use crate::model::{ChosenArchive, ParakeetModel};
use crate::store::{ModelStore, StoreError};

/// Loaded Parakeets, by bundle and compute type.
pub type ParakeetStore = ModelStore<ParakeetKey, ParakeetModel, Error>;

/// Identifies a loaded Parakeet. Two spellings of one folder give one key, and so do [`ComputeType::Auto`]
/// and the compute type that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParakeetKey {
    dir: PathBuf,
    compute_type: ComputeType,
    on_cuda: bool,
}

impl ParakeetStore {
    /// The model of the bundle in `dir`. If the store does not hold it, it is loaded as by
    /// [`ParakeetModel::load`]. The store counts the size of the archive as the model's size.
    ///
    /// # Errors
    ///
    /// Those of [`ParakeetModel::load`] and of [`ModelStore::get_or_load`].
    pub fn load(
        &self,
        dir: &Path,
        device: Device,
        compute_type: ComputeType,
    ) -> Result<Arc<ParakeetModel>, StoreError<Error>> {
        let archive = ChosenArchive::choose(dir, device, compute_type);
        let archive = archive.map_err(|why| StoreError::Load(Arc::new(why)))?;
        let key = ParakeetKey {
            // A folder that cannot be made canonical keeps its spelling: loading it fails below with the
            // reason.
            dir: fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()),
            compute_type: archive.compute_type,
            on_cuda: archive.device.is_cuda(),
        };
        self.get_or_load(&key, archive.record.bytes, || archive.load())
    }
}
