//! Loads a bundle, and encodes batches of utterances.

use std::path::Path;

use rnnt_decode::Vocabulary;

use crate::network::Network;
use crate::{ComputeType, Device, Error, ModelManifest, Utterances, digest};

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
    /// The manifest is read and checked first, then the files' digests, then the device is opened,
    /// and only then weights are loaded.
    ///
    /// # Errors
    ///
    /// Those of [`ModelManifest::read`]; [`Error::MissingFile`], [`Error::WrongSize`] and
    /// [`Error::WrongDigest`] for files that are not the exported ones;
    /// [`Error::ComputeTypeNotInBundle`], which names the command that adds it;
    /// [`Error::CudaUnavailable`]; [`Error::Load`] if libtorch cannot read the archive.
    pub fn load(dir: &Path, device: Device, compute_type: ComputeType) -> Result<Self, Error> {
        let manifest = ModelManifest::read(dir)?;
        let vocabulary = manifest.read_vocabulary(dir)?;
        let device = device.resolve()?;
        let (compute_type, record) = manifest.choose(compute_type, device, dir)?;
        let archive = digest::verify(dir, record)?;
        let network = Network::load(&archive, device)?;
        Ok(Self {
            vocabulary,
            compute_type,
            on_cuda: device.is_cuda(),
            network,
            manifest,
        })
    }

    /// Encodes a batch of utterances.
    ///
    /// Each slice is mono, 16 kHz, in [-1, 1]; lengths may differ. Internally the batch is padded to
    /// (N, S), turned into log-mel (N, n_mels, T) and encoded to T' = ceil(T / subsampling) frames.
    /// Padding changes no result: an utterance encodes alone as in a batch, to within float noise,
    /// if its batch is float32. An utterance shorter than one hop, even an empty one, has no
    /// encoder frames and decodes to nothing.
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
        let longest = utterances.iter().map(|samples| samples.len()).max();
        // At least one encoder frame wide, so that no layer meets a tensor without elements.
        let width = longest
            .ok_or(Error::EmptyBatch)?
            .max(self.manifest.stride_samples());

        let mut audio = Vec::with_capacity(utterances.len() * width);
        for (row, samples) in utterances.iter().enumerate() {
            audio.extend_from_slice(samples);
            audio.resize((row + 1) * width, 0.0);
        }
        let n_samples: Vec<_> = utterances
            .iter()
            .map(|samples| samples.len() as i64)
            .collect();
        let (encoded, n_encoder_frames) = self.network.encode(&audio, &n_samples)?;
        Utterances::new(
            &self.network,
            self.manifest.head,
            self.vocabulary.blank(),
            encoded,
            n_encoder_frames,
        )
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
