//! Loads a bundle, and encodes batches of utterances.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rnnt_decode::Vocabulary;
use tch::Tensor;

use crate::manifest::FileRecord;
use crate::network::Network;
use crate::{
    ComputeType, Device, Error, ModelManifest, ModelStore, StoreError, Utterances, digest,
};

/// A Parakeet network, loaded and ready.
pub struct ParakeetModel {
    manifest: ModelManifest,
    vocabulary: Vocabulary,
    compute_type: ComputeType,
    on_cuda: bool,
    network: Network,
}

impl ParakeetModel {
    /// Loads the bundle in `dir`.
    ///
    /// The manifest is read and checked first, then the device is opened, then the files' digests are
    /// checked, and only then weights are loaded.
    ///
    /// # Errors
    ///
    /// Those of [`ModelManifest::read`]; [`Error::MissingFile`], [`Error::WrongSize`] and
    /// [`Error::WrongDigest`] for files that are not the exported ones;
    /// [`Error::ComputeTypeNotInBundle`], which names the command that adds it;
    /// [`Error::ComputeTypeUnsupported`] and [`Error::CudaUnavailable`] for what this machine lacks; [`Error::Load`] if libtorch cannot read the archive.
    pub fn load(dir: &Path, device: Device, compute_type: ComputeType) -> Result<Self, Error> {
        Archive::choose(dir, device, compute_type)?.load()
    }

    /// Encodes a batch of utterances.
    ///
    /// Each slice is mono, 16 kHz, in [-1, 1]; lengths may differ. Internally the batch is padded to
    /// (N, S), turned into log-mel (N, n_mels, T) and encoded to T' = ceil(T / subsampling) frames.
    /// Padding changes no result: an utterance encodes alone as in a batch, to within the noise of its
    /// compute type; in int8 exactly, since there one is encoded after the other. An utterance shorter
    /// than one hop, even an empty one, has no encoder frames and decodes to nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a slice exceeds [`ModelManifest::max_samples`]: cut it with
    /// `segmenter::plan_chunks`. [`Error::OutOfMemory`] is worth one retry with a smaller batch.
    pub fn encode(&self, utterances: &[&[f32]]) -> Result<Utterances<'_>, Error> {
        let max_samples = self.manifest.max_samples;
        for (utterance, samples) in utterances.iter().enumerate() {
            let n_samples = samples.len();
            if n_samples > max_samples {
                return Err(Error::TooLong {
                    utterance,
                    n_samples,
                    max_samples,
                });
            }
        }
        if utterances.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let (encoded, n_encoder_frames) = if self.compute_type == ComputeType::Int8 {
            // The products of bytes are the same in any batch, the bfloat16 around them is not. A CPU
            // gains little from batches.
            let rows = utterances.chunks(1).map(|one| self.encode_padded(one));
            Network::join(rows.collect::<Result<_, _>>()?)?
        } else {
            self.encode_padded(utterances)?
        };
        let (head, blank) = (self.manifest.head, self.vocabulary.blank());
        Utterances::new(&self.network, head, blank, encoded, n_encoder_frames)
    }

    /// One call of the network for all utterances, of which there is at least one: what it gives and
    /// the valid encoder frames of each.
    fn encode_padded(&self, utterances: &[&[f32]]) -> Result<(Tensor, Vec<usize>), Error> {
        // At least one encoder frame wide, so that no layer meets a tensor without elements.
        let lengths = utterances.iter().map(|samples| samples.len());
        let width = lengths.fold(self.manifest.stride_samples(), usize::max);
        let mut audio = Vec::with_capacity(utterances.len() * width);
        for (row, samples) in utterances.iter().enumerate() {
            audio.extend_from_slice(samples);
            audio.resize((row + 1) * width, 0.0);
        }
        let lengths = utterances.iter().map(|samples| samples.len() as i64);
        self.network.encode(&audio, &lengths.collect::<Vec<_>>())
    }

    /// What the bundle says of itself.
    pub fn manifest(&self) -> &ModelManifest {
        &self.manifest
    }

    /// The pieces that tokens stand for.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The compute type of the loaded archive, never [`ComputeType::Auto`].
    pub fn compute_type(&self) -> ComputeType {
        self.compute_type
    }

    /// Where the network runs, never [`Device::Auto`].
    pub fn device(&self) -> Device {
        if self.on_cuda {
            Device::Cuda
        } else {
            Device::Cpu
        }
    }
}

/// Loaded Parakeets, by bundle and compute type.
pub type ParakeetStore = ModelStore<ParakeetKey, ParakeetModel, Error>;

/// Which loaded Parakeet is meant: spellings of one model, and [`ComputeType::Auto`] and what it is
/// settled to, give one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParakeetKey {
    dir: PathBuf,
    compute_type: ComputeType,
    on_cuda: bool,
}

impl ParakeetStore {
    /// The model of the bundle in `dir`, loaded as [`ParakeetModel::load`] does if it is not there
    /// yet. Its size is that of its archive.
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
        let archive = Archive::choose(dir, device, compute_type);
        let archive = archive.map_err(|why| StoreError::Load(Arc::new(why)))?;
        let key = ParakeetKey {
            // Two ways to write one folder are one bundle; a folder that has no such name fails below.
            dir: fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()),
            compute_type: archive.compute_type,
            on_cuda: archive.device.is_cuda(),
        };
        self.get_or_load(&key, archive.record.bytes, || archive.load())
    }
}

/// An archive that was chosen and not loaded yet.
struct Archive<'a> {
    dir: &'a Path,
    manifest: ModelManifest,
    device: tch::Device,
    compute_type: ComputeType,
    record: FileRecord,
}

impl<'a> Archive<'a> {
    /// Reads the manifest in `dir`, opens the device and settles the compute type.
    fn choose(dir: &'a Path, device: Device, compute_type: ComputeType) -> Result<Self, Error> {
        let manifest = ModelManifest::read(dir)?;
        let device = device.resolve()?;
        let (compute_type, record) = manifest.choose(compute_type, device, dir)?;
        Ok(Self {
            dir,
            record: record.clone(),
            manifest,
            device,
            compute_type,
        })
    }

    /// Checks the files and loads them.
    fn load(self) -> Result<ParakeetModel, Error> {
        let vocabulary = self.manifest.read_vocabulary(self.dir)?;
        let path = digest::verify(self.dir, &self.record)?;
        let model = ParakeetModel {
            vocabulary,
            compute_type: self.compute_type,
            on_cuda: self.device.is_cuda(),
            network: Network::load(&path, self.device)?,
            manifest: self.manifest,
        };
        if self.compute_type == ComputeType::Int8 {
            // The first call lays the weights out for the CPU, which changes the network: done here,
            // while nobody else has it, and so that no task waits for it.
            model.encode(&[&[]])?;
        }
        Ok(model)
    }
}
