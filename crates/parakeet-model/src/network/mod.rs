//! The archive, loaded: what it encodes, and its methods for [`ArchiveState`].
//!
//! Every call of a method runs without gradients, and every failure is wrapped at once with the method's name
//! and the shapes of its arguments, because libtorch's own text names neither.

pub(crate) mod encoder_thread;

#[cfg(test)]
mod tests;

use std::path::Path;

use tch::{CModule, IValue, TchError, Tensor};

use crate::Error;
use crate::libtorch::gemm_ops;
use crate::libtorch::streams::{StreamEvent, Streams, on_host, used_here};
use crate::libtorch::threads::on_one_thread;
use crate::transducer::PredictorStates;
use crate::transducer::native::{NativeHead, NativeStates};
use crate::transducer::torchscript::ArchiveState;

/// A loaded archive on its device.
pub(crate) struct Network {
    module: CModule,
    device: tch::Device,
    /// On a GPU.
    streams: Option<&'static Streams>,
    /// On a CPU, for a transducer: what its search needs. An archive of an earlier release does not give it.
    native: Option<NativeHead>,
}

/// Utterances on the network's device, padded.
pub(crate) struct Audio {
    /// (N, S).
    pub(crate) samples: Tensor,
    /// Valid samples of each utterance.
    pub(crate) n_samples: Vec<i64>,
    /// On a GPU: when the samples are there.
    pub(crate) arrived: Option<StreamEvent>,
}

/// Linux has it, a Mac has not.
const WITHOUT_ONEDNN: &str = ", which was exported for a libtorch with oneDNN, and this one is without: \
    `cargo xtask export-model` on this machine writes one that it can read";

impl Network {
    /// Loads the archive at `path` straight to `device`, in the compute type it was exported in.
    /// With `in_bytes` the search's predictor multiplies bytes, too.
    pub(crate) fn load(path: &Path, device: tch::Device, in_bytes: bool) -> Result<Self, Error> {
        // The archive is frozen and optimised. Profiling and fusing optimise it again for the shapes
        // of the first batches, and every batch has a new shape: they doubled the time of the first
        // batch and saved nothing later.
        gemm_ops::register();
        let settled = tch::jit::f_set_tensor_expr_fuser_enabled(false)
            .and_then(|()| tch::jit::f_set_profiling_mode(false));
        let loaded = settled.and_then(|()| {
            let module = CModule::load_on_device(path, device)?;
            let streams = device.is_cuda().then(Streams::get).transpose()?;
            let native = match device.is_cuda() {
                true => None,
                false => NativeHead::of(&module, in_bytes)?,
            };
            Ok(Self {
                module,
                device,
                streams,
                native,
            })
        });
        match loaded {
            Ok(network) => Ok(network),
            Err(why) if is_lost(&why.to_string()) => {
                Err(failure("load", path.display().to_string(), why))
            }
            Err(why) => Err(Error::Load {
                path: path.to_owned(),
                hint: match why.to_string().contains("mkldnn::") {
                    true => WITHOUT_ONEDNN,
                    false => "",
                },
                source: why.into(),
            }),
        }
    }

    /// Brings utterances, of which there is at least one, to the device, and pads all to the longest,
    /// and to `min_samples` at least, so that no layer meets a tensor without elements.
    pub(crate) fn upload_audio(
        &self,
        utterances: &[&[f32]],
        min_samples: usize,
    ) -> Result<Audio, Error> {
        let longest = utterances.iter().map(|it| it.len()).max().unwrap_or(0);
        let n_columns = longest.max(min_samples);
        let uploaded = match &self.streams {
            Some(streams) => streams.upload.queue(|| {
                // From pinned memory the copy is queued; from any other the host waits for the device.
                let rows = on_host(utterances, n_columns, true)?;
                let samples = rows.f_to_device_(self.device, tch::Kind::Float, true, false)?;
                Ok((samples, Some(StreamEvent::new()?)))
            }),
            None => on_host(utterances, n_columns, false).map(|samples| (samples, None)),
        };
        match uploaded {
            Ok((samples, arrived)) => Ok(Audio {
                samples,
                n_samples: utterances.iter().map(|it| it.len() as i64).collect(),
                arrived,
            }),
            Err(why) => {
                let arguments = format!("{} rows, the longest {longest}", utterances.len());
                Err(failure("encode", arguments, why))
            }
        }
    }

    /// Encodes audio in one pass: (N, T', J), CTC's emissions (N, T', 3), and the valid encoder frames
    /// of each utterance. On a GPU it returns as soon as the work is queued.
    pub(crate) fn encode(&self, audio: Audio) -> Result<(Tensor, Vec<usize>), Error> {
        let n = audio.n_samples.len();
        let wrap = |why| failure("encode", format!("{n} utterances"), why);
        // Counts stay on the host: nothing that depends on them waits for the device.
        let n_samples = Tensor::f_from_slice(&audio.n_samples).map_err(wrap)?;
        if let Some(arrived) = &audio.arrived {
            let ordered = arrived.wait().and_then(|()| used_here(&audio.samples));
            ordered.map_err(wrap)?;
        }
        let (encoded, n_frames): (Tensor, Tensor) =
            self.call("encode", [audio.samples.into(), n_samples.into()])?;
        let mut n_encoder_frames = vec![0_i64; n];
        n_frames
            .f_copy_data(&mut n_encoder_frames, n)
            .map_err(wrap)?;
        let n_encoder_frames = n_encoder_frames.into_iter().map(|n| n as usize);
        Ok((encoded, n_encoder_frames.collect()))
    }

    /// Makes one batch of several, each as [`Network::encode`] gave it; shorter ones are padded with
    /// zeros.
    pub(crate) fn join(
        mut batches: Vec<(Tensor, Vec<usize>)>,
    ) -> Result<(Tensor, Vec<usize>), Error> {
        if batches.len() == 1 {
            return Ok(batches.remove(0));
        }
        let n_batches = batches.len();
        let wrap = |why| failure("encode", format!("{n_batches} batches, joined"), why);
        let longest = batches
            .iter()
            .map(|(it, _)| it.size()[1])
            .max()
            .unwrap_or(0);
        let (padded, n_encoder_frames): (Vec<_>, Vec<_>) = batches
            .into_iter()
            .map(|(encoded, n_frames)| {
                let missing = longest - encoded.size()[1];
                (encoded.f_constant_pad_nd([0, 0, 0, missing]), n_frames)
            })
            .unzip();
        let padded = padded.into_iter().collect::<Result<Vec<_>, _>>();
        let joined = padded.and_then(|padded| Tensor::f_cat(&padded, 0));
        Ok((joined.map_err(wrap)?, n_encoder_frames.concat()))
    }

    /// Has the host wait until all is done that was encoded by now.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        match self.mark()? {
            Some(mark) => mark
                .wait_on_host()
                .map_err(|why| failure("encode", String::new(), why)),
            None => Ok(()),
        }
    }

    /// On a GPU: when all is done that was encoded and joined by now.
    pub(crate) fn mark(&self) -> Result<Option<StreamEvent>, Error> {
        let mark = self.streams.as_ref().map(|_| StreamEvent::new());
        mark.transpose()
            .map_err(|why| failure("encode", String::new(), why))
    }

    /// Has the search wait for what was encoded; the host does not.
    pub(crate) fn search_after(&self, encoded: &StreamEvent) -> Result<(), Error> {
        self.step(|| encoded.wait())
            .map_err(|why| failure("score", String::new(), why))
    }

    /// CTC: brings the emissions (N, T', 3) that [`Network::encode`] gave to the host, row by row.
    pub(crate) fn emissions(&self, encoded: &Tensor) -> Result<Vec<f32>, Error> {
        let mut emissions = vec![0.0; encoded.numel()];
        let copied = self.step(|| encoded.f_copy_data(&mut emissions, encoded.numel()));
        copied.map_err(|why| failure("encode", format!("{:?}", encoded.size()), why))?;
        Ok(emissions)
    }

    /// Whether a CPU's tiles multiply what is scored.
    pub(crate) fn scores_on_tiles(&self) -> bool {
        self.native
            .as_ref()
            .is_some_and(NativeHead::scores_on_tiles)
    }

    /// What it holds in memory beside its archive.
    pub(crate) fn n_bytes_beside(&self) -> u64 {
        self.native.as_ref().map_or(0, |it| it.n_bytes() as u64)
    }

    /// The states of encoded utterances (N, T', J) after the start of sequence.
    pub(crate) fn initial_state(
        &self,
        encoded: Tensor,
    ) -> Result<Box<dyn PredictorStates + '_>, Error> {
        Ok(match &self.native {
            Some(head) => Box::new(self.step(|| NativeStates::new(head, &encoded))?),
            None => Box::new(ArchiveState::new(self, encoded)?),
        })
    }

    /// Makes one step of the search, beside the encoder's work on the batches after it.
    pub(crate) fn step<T>(&self, call: impl FnOnce() -> T) -> T {
        match &self.streams {
            Some(streams) => streams.search.queue(call),
            None => on_one_thread(call),
        }
    }

    pub(crate) fn call<T, const N: usize>(
        &self,
        method: &'static str,
        arguments: [IValue; N],
    ) -> Result<T, Error>
    where
        T: TryFrom<IValue, Error = TchError>,
    {
        tch::no_grad(|| self.module.method_is(method, &arguments))
            .and_then(T::try_from)
            .map_err(|why| {
                let shapes: Vec<_> = arguments.iter().map(shape).collect();
                failure(method, shapes.join(", "), why)
            })
    }
}

fn shape(argument: &IValue) -> String {
    match argument {
        IValue::Tensor(tensor) => format!("{:?}", tensor.size()),
        other => format!("{other:?}"),
    }
}

pub(crate) fn failure(method: &'static str, arguments: String, why: TchError) -> Error {
    let text = why.to_string();
    let source = why.into();
    // The words of libtorch's CUDA and CPU allocators, and of its calls of CUDA; there are no codes.
    let is_full = [
        "out of memory",
        "can't allocate memory",
        "STATUS_ALLOC_FAILED",
    ];
    if is_full.iter().any(|words| text.contains(words)) {
        Error::OutOfMemory {
            method,
            arguments,
            source,
        }
    } else if is_lost(&text) {
        Error::DeviceLost {
            method,
            arguments,
            source,
        }
    } else {
        Error::Network {
            method,
            arguments,
            source,
        }
    }
}

/// Whether every later call would fail like this one. Calls that CUDA or its libraries refuse as invalid
/// leave the GPU as it was.
fn is_lost(text: &str) -> bool {
    let is_refusal = ["invalid", "CUBLAS_STATUS"];
    text.contains("CUDA error") && !is_refusal.iter().any(|words| text.contains(words))
}
