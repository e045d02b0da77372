//! Loads a bundle, and encodes batches of utterances.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rnnt_decode::{Lane, Transducer as _, Vocabulary, Window};

use crate::bundle::digest;
use crate::bundle::file_record::FileRecord;
use crate::bundle::manifest::ModelManifest;
use crate::compute_type::ComputeType;
use crate::error::Error;
use crate::libtorch::device::{self, Device, DeviceMemory};
use crate::network::Network;
use crate::network::encoder_thread::EncoderThread;
use crate::network::passes::passes;
use crate::network::pending::Pending;
use crate::pending_encoding::PendingEncoding;
use crate::utterances::Utterances;

/// The limit of [`ParakeetModel::pass_samples`] that every utterance exceeds.
const ONE_UTTERANCE_PER_PASS: usize = 0;

/// A Parakeet network, loaded and ready.
pub struct ParakeetModel {
    manifest: ModelManifest,
    vocabulary: Vocabulary,
    compute_type: ComputeType,
    archive_bytes: u64,
    on_cuda: bool,
    /// Shared with the encoder's thread, which ends when the model is dropped.
    network: Arc<Network>,
    /// `None` on a CPU, where the caller's thread encodes.
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
    /// [`Error::WrongDigest`] for files that differ from the exported ones;
    /// [`Error::ComputeTypeNotInBundle`], which names the command that adds the compute type;
    /// [`Error::ComputeTypeUnsupported`] and [`Error::CudaUnavailable`] for what this machine lacks;
    /// [`Error::Load`] if libtorch cannot read the archive.
    pub fn load(dir: &Path, device: Device, compute_type: ComputeType) -> Result<Self, Error> {
        ChosenArchive::choose(dir, device, compute_type)?.load()
    }

    /// Encodes a batch of utterances.
    ///
    /// Each slice is mono, 16 kHz, in [-1, 1]; lengths may differ. Internally the batch is padded to (N, S),
    /// turned into log-mel (N, n_mels, T) and encoded to T' = ceil(T / subsampling) frames. Padding changes
    /// no result: an utterance encodes alone as in a batch, to within the float noise of its compute type.
    /// With int8 linear layers the result is exactly the same, because the utterances of a batch are
    /// encoded one after another. An utterance shorter than one hop, even an empty one, has no encoder frames
    /// and decodes to nothing. On a CPU utterances share a pass of at most
    /// [`pass_samples`](Self::pass_samples): a larger batch only makes the search faster.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`] for no slices; [`Error::TooLong`] if a slice exceeds
    /// [`ModelManifest::max_samples`]: cut it with `segmenter::plan_chunks`. [`Error::OutOfMemory`] is worth
    /// one retry with a smaller batch.
    pub fn encode(&self, utterances: &[&[f32]]) -> Result<Utterances<'_>, Error> {
        let all = NonZeroUsize::new(utterances.len()).ok_or(Error::EmptyBatch)?;
        self.begin_encoding(utterances, all)?.wait().0
    }

    /// Begins to [`encode`](Self::encode) utterances as one batch of the search, `batch_size` of them at a
    /// time.
    ///
    /// On a CPU the batch is encoded when this returns. On a GPU only the uploads are queued when this
    /// returns; the encoder's thread encodes the batch after those of earlier calls, while this thread may
    /// search.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyBatch`], [`Error::TooLong`] and [`Error::OutOfMemory`] as of [`encode`](Self::encode).
    /// On a GPU those are errors of the arguments and the uploads, and nothing of the batch stays in memory;
    /// [`PendingEncoding::wait`] returns the errors of the encoding.
    pub fn begin_encoding(
        &self,
        utterances: &[&[f32]],
        batch_size: NonZeroUsize,
    ) -> Result<PendingEncoding<'_>, Error> {
        self.check(utterances)?;
        let (min_samples, limit) = (self.manifest.stride_samples(), self.pass_samples());
        let batches = utterances.chunks(batch_size.get());
        let passes = batches.flat_map(|batch| passes(batch, min_samples, limit));
        let audio = passes.map(|pass| self.network.upload_audio(pass, min_samples));
        let pending = match &self.encoder {
            Some(encoder) => {
                let (sender, pending) = encoder.submit();
                for audio in audio {
                    match audio.map(|audio| sender.send(audio)) {
                        Ok(Ok(())) => {}
                        // The thread takes no more passes once one has failed; the outcome holds the error.
                        Ok(Err(_)) => break,
                        Err(why) => {
                            // The order matters: `cancel` waits for the outcome, and the thread sends none
                            // before the sender is dropped.
                            drop(sender);
                            pending.cancel();
                            return Err(why);
                        }
                    }
                }
                pending
            }
            None => {
                let begun = Instant::now();
                let encoded = self.network.encode_passes(audio);
                Pending::Done((encoded, begun.elapsed()))
            }
        };
        Ok(PendingEncoding {
            network: &self.network,
            head: self.manifest.head,
            blank: self.vocabulary.blank(),
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

    /// The most samples, padding included, that share a pass through the encoder. An utterance that is longer
    /// has a pass of its own.
    ///
    /// On a GPU the limit is `usize::MAX`: an encoder batch is one pass. On a CPU the limit is 0 for a compute
    /// type that multiplies bytes: every utterance has a pass of its own.
    pub fn pass_samples(&self) -> usize {
        if self.on_cuda {
            usize::MAX
        } else if self.compute_type.multiplies_int8() {
            // int8 products are the same in any batch, but the operations between them are not.
            ONE_UTTERANCE_PER_PASS
        } else {
            // 45 s, two chunks of a long recording. Each pass reads all weights, so a pass should be long;
            // but in a longer one the activations between two layers outgrow a CPU's caches. See
            // docs/decisions/0004-encoder-on-a-cpu.md.
            720_000
        }
    }

    /// Memory of the GPU that the network runs on; `None` on a CPU.
    pub fn device_memory(&self) -> Option<DeviceMemory> {
        self.on_cuda.then(device::memory).flatten()
    }

    /// Returns the memory that libtorch caches to the GPU; does nothing on a CPU.
    ///
    /// Worth a try after [`Error::OutOfMemory`]: the cached blocks may have sizes that the failed call cannot
    /// use.
    pub fn release_memory(&self) {
        if self.on_cuda {
            device::release_cache();
        }
    }

    /// What one call of the search costs on this device, for [`Window::Adaptive`].
    ///
    /// On an H100 a call takes as long as the joint's work on some 15000 frames of one lane; on a GPU with a
    /// tenth of its matrix rate, on a tenth of these frames; 6000 lies between the two. On a CPU's tiles a call
    /// takes 60 us and a frame 2 us, measured as 28 frames. For other CPUs see [`Window::default`].
    pub fn window(&self) -> Window {
        if self.on_cuda {
            Window::Adaptive { call_cost: 6000 }
        } else if self.network.scores_on_tiles() {
            Window::Adaptive { call_cost: 28 }
        } else {
            Window::default()
        }
    }

    /// Encodes and searches silence, so that the first task does not pay for what a network does only once.
    ///
    /// On a CPU each layer packs its weights at its first call. That writes to the network, and two threads
    /// must not do it at the same time: here no other thread has the network yet. On a GPU CUDA loads each
    /// kernel when it is first used, and the network compiles a plan for each convolution and each length of
    /// slab.
    fn warm_up(&self) -> Result<(), Error> {
        if !self.on_cuda {
            return self.warm_up_with(1, 0);
        }
        // Between them a batch of 1 and a batch of 36 utterances of 28 s meet every kernel and every plan
        // (`xtask/python/exporter/slabs.py`).
        let n_samples = self.manifest.max_samples.min(28 * 16_000);
        self.warm_up_with(1, n_samples)?;
        let mut n = 36;
        loop {
            match self.warm_up_with(n, n_samples) {
                // A GPU that cannot hold the large batch gets none later either, so half of it is warm-up
                // enough.
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

    /// The bundle's manifest.
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

    /// Memory of the weights, approximately: the size of the loaded archive, and on a CPU also the weights
    /// that the search has packed for itself.
    pub fn weight_bytes(&self) -> u64 {
        self.archive_bytes + self.network.n_native_bytes()
    }

    /// The device that the network runs on, never [`Device::Auto`].
    pub fn device(&self) -> Device {
        if self.on_cuda {
            Device::Cuda
        } else {
            Device::Cpu
        }
    }
}

/// The archive of a bundle that fits device and compute type, chosen and not loaded yet.
pub(crate) struct ChosenArchive<'a> {
    dir: &'a Path,
    manifest: ModelManifest,
    pub(crate) device: tch::Device,
    pub(crate) compute_type: ComputeType,
    pub(crate) record: FileRecord,
}

impl<'a> ChosenArchive<'a> {
    /// Reads the manifest in `dir`, opens the device and settles the compute type.
    pub(crate) fn choose(
        dir: &'a Path,
        device: Device,
        compute_type: ComputeType,
    ) -> Result<Self, Error> {
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
    pub(crate) fn load(self) -> Result<ParakeetModel, Error> {
        let vocabulary = self.manifest.read_vocabulary(self.dir)?;
        let path = digest::verify(self.dir, &self.record)?;
        let predicts_in_int8 = self.compute_type.multiplies_int8();
        let network = Arc::new(Network::load(&path, self.device, predicts_in_int8)?);
        let on_cuda = self.device.is_cuda();
        let model = ParakeetModel {
            encoder: on_cuda.then(|| {
                let network = Arc::clone(&network);
                EncoderThread::start(move |passes| network.encode_passes(passes.map(Ok)))
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
