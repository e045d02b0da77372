//! Loads a bundle, and encodes batches of utterances.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rnnt_decode::{Lane, Transducer as _, Vocabulary, Window};

use crate::bundle::digest;
use crate::bundle::manifest::FileRecord;
use crate::libtorch::device;
use crate::network::Network;
use crate::network::encoder_thread;
use crate::network::encoder_thread::{Encoded, EncoderThread, Pending};
use crate::{
    ComputeType, Device, DeviceMemory, Error, ModelManifest, ModelStore, PendingEncoding,
    StoreError, Utterances,
};

/// A Parakeet network, loaded and ready.
pub struct ParakeetModel {
    manifest: ModelManifest,
    vocabulary: Vocabulary,
    compute_type: ComputeType,
    archive_bytes: u64,
    on_cuda: bool,
    network: Arc<Network>,
    /// On a GPU.
    encoder: Option<EncoderThread>,
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
        ChosenArchive::choose(dir, device, compute_type)?.load()
    }

    /// Encodes a batch of utterances.
    ///
    /// Each slice is mono, 16 kHz, in [-1, 1]; lengths may differ. Internally the batch is padded to
    /// (N, S), turned into log-mel (N, n_mels, T) and encoded to T' = ceil(T / subsampling) frames.
    /// Padding changes no result: an utterance encodes alone as in a batch, to within the noise of its
    /// compute type; with linear layers of bytes exactly, since there one is encoded after the other. An
    /// utterance shorter than one hop, even an empty one, has no encoder frames and decodes to nothing. On
    /// a CPU utterances share a pass of at most [`pass_samples`](Self::pass_samples): what it gains from a
    /// batch is the search of several.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a slice exceeds [`ModelManifest::max_samples`]: cut it with
    /// `segmenter::plan_chunks`. [`Error::OutOfMemory`] is worth one retry with a smaller batch.
    pub fn encode(&self, utterances: &[&[f32]]) -> Result<Utterances<'_>, Error> {
        let all = NonZeroUsize::new(utterances.len()).ok_or(Error::EmptyBatch)?;
        self.begin_encoding(utterances, all)?.wait().0
    }

    /// Begins to [`encode`](Self::encode) utterances, `batch_size` of them at a time, as one batch for the
    /// search. On a CPU they are encoded when it returns; on a GPU they are on their way there, and are
    /// encoded after those of any call before, beside whatever is searched meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], [`Error::TooLong`] and [`Error::OutOfMemory`] as of
    /// [`encode`](Self::encode); what fails later, [`PendingEncoding::wait`] says.
    pub fn begin_encoding(
        &self,
        utterances: &[&[f32]],
        batch_size: NonZeroUsize,
    ) -> Result<PendingEncoding<'_>, Error> {
        self.check(utterances)?;
        let (at_least, limit) = (self.manifest.stride_samples(), self.pass_samples());
        let batches = utterances.chunks(batch_size.get());
        let passes = batches.flat_map(|batch| encoder_thread::passes(batch, at_least, limit));
        let audio = passes.map(|pass| self.network.upload_audio(pass, at_least));
        let pending = match &self.encoder {
            Some(encoder) => {
                let (order, pending) = encoder.order();
                for audio in audio {
                    match audio.map(|audio| order.send(audio)) {
                        Ok(Ok(())) => {}
                        // It takes no more of them once one has failed, and says so in the end.
                        Ok(Err(_)) => break,
                        Err(why) => {
                            drop(order);
                            pending.cancel();
                            return Err(why);
                        }
                    }
                }
                pending
            }
            None => {
                let begun = Instant::now();
                let encoded = encoder_thread::encode(&self.network, audio);
                Pending::Encoded((encoded, begun.elapsed()))
            }
        };
        Ok(PendingEncoding {
            model: self,
            pending,
        })
    }

    fn check(&self, utterances: &[&[f32]]) -> Result<(), Error> {
        if utterances.is_empty() {
            return Err(Error::EmptyBatch);
        }
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
        Ok(())
    }

    pub(crate) fn utterances(&self, encoded: Encoded) -> Utterances<'_> {
        let (head, blank) = (self.manifest.head, self.vocabulary.blank());
        Utterances::new(&self.network, head, blank, encoded)
    }

    /// How many samples, padding included, go through the encoder at once; a longer utterance goes alone.
    pub fn pass_samples(&self) -> usize {
        if self.on_cuda {
            usize::MAX
        } else if self.compute_type.multiplies_bytes() {
            // The products of bytes are the same in any batch, what is around them is not.
            0
        } else {
            // 45 s, two chunks of a long recording: each pass reads all weights, and with more of them what a
            // layer hands to the next leaves a CPU's caches; see docs/decisions/0004-encoder-on-a-cpu.md.
            720_000
        }
    }

    /// Memory of the GPU that the network runs on; `None` on a CPU.
    pub fn device_memory(&self) -> Option<DeviceMemory> {
        self.on_cuda.then(device::memory).flatten()
    }

    /// Gives memory that libtorch keeps for later back to the GPU; does nothing on a CPU. Worth a try
    /// after [`Error::OutOfMemory`]: what is kept is in pieces, and the wrong ones perhaps.
    pub fn release_memory(&self) {
        if self.on_cuda {
            device::release_cache();
        }
    }

    /// What one call of the search costs here, as [`Window::Adaptive`] counts.
    ///
    /// On an H100 a call takes as long as the joint needs for some 15000 frames of one lane, on a
    /// card of a tenth of its matrix rate a tenth of that; on a CPU's tiles 60 us, and a frame 2; on
    /// other CPUs, see [`Window::default`].
    pub fn window(&self) -> Window {
        if self.on_cuda {
            Window::Adaptive { call_cost: 6000 }
        } else if self.network.scores_on_tiles() {
            Window::Adaptive { call_cost: 28 }
        } else {
            Window::default()
        }
    }

    /// Does once what costs time once, so that no task waits for it.
    ///
    /// On a CPU the first call of each layer lays its weights out, which changes the network: it is made
    /// while nobody else has it.
    fn warm_up(&self) -> Result<(), Error> {
        if !self.on_cuda {
            return self.warm_up_with(1, 0);
        }
        // Kernels are loaded as they are met, and for each convolution and length of slab a plan is compiled:
        // between them these two batches have all, if the memory holds them (`xtask/python/exporter/slabs.py`).
        let n_samples = self.manifest.max_samples.min(28 * 16_000);
        self.warm_up_with(1, n_samples)?;
        let mut n = 36;
        loop {
            match self.warm_up_with(n, n_samples) {
                Err(Error::OutOfMemory { .. }) if n > 1 => {
                    self.release_memory();
                    n /= 2;
                }
                outcome => return outcome,
            }
        }
    }

    fn warm_up_with(&self, n: usize, n_samples: usize) -> Result<(), Error> {
        let silence = vec![0.0; n_samples];
        let mut utterances = self.encode(&vec![silence.as_slice(); n])?;
        let lane = |utterance| Lane {
            utterance,
            frame: 0,
        };
        let lanes: Vec<_> = (0..n).map(lane).collect();
        utterances.advance(&[(0, 0)])?;
        utterances.score(&lanes, 8, &mut Vec::new())
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

    /// What its weights take of memory, to within the words around them: the loaded archive, and on a CPU the
    /// search's own.
    pub fn weight_bytes(&self) -> u64 {
        self.archive_bytes + self.network.n_bytes_beside()
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
        let archive = ChosenArchive::choose(dir, device, compute_type);
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
struct ChosenArchive<'a> {
    dir: &'a Path,
    manifest: ModelManifest,
    device: tch::Device,
    compute_type: ComputeType,
    record: FileRecord,
}

impl<'a> ChosenArchive<'a> {
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
        let in_bytes = self.compute_type.multiplies_bytes();
        let network = Arc::new(Network::load(&path, self.device, in_bytes)?);
        let on_cuda = self.device.is_cuda();
        let model = ParakeetModel {
            encoder: on_cuda.then(|| {
                let network = Arc::clone(&network);
                EncoderThread::start(move |passes| encoder_thread::encode(&network, passes.map(Ok)))
            }),
            vocabulary,
            compute_type: self.compute_type,
            archive_bytes: self.record.bytes,
            on_cuda,
            network,
            manifest: self.manifest,
        };
        model.warm_up()?;
        Ok(model)
    }
}
