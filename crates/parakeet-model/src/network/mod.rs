//! A loaded network: uploads audio, encodes it, and starts the search's predictor states.
//!
//! On a GPU three streams share the work ([`crate::libtorch::streams`]): uploads, the encoder on the default
//! stream, and the search. [`StreamEvent`]s order them: the encoder waits for [`Audio::arrived`], the search
//! for [`Encoded::ready`]. On a CPU every call has finished its work when it returns, and there are no
//! events.

pub(crate) mod encoder_thread;
pub(crate) mod passes;
pub(crate) mod pending;

#[cfg(test)]
mod tests;

use std::path::Path;

use tch::{TchError, Tensor};

use crate::error::Error;
use crate::libtorch::failure::{load_failure, method_failure};
use crate::libtorch::module::Module;
use crate::libtorch::streams::{StreamEvent, record_stream};
use crate::libtorch::tensors::{padded_rows, to_vec};
use crate::transducer::PredictorStates;
use crate::transducer::archive_weights::ArchiveWeights;
use crate::transducer::native::{NativeHead, NativeStates};
use crate::transducer::torchscript::TorchScriptStates;

/// A network on its device.
pub(crate) struct Network {
    module: Module,
    /// Predictor and joint of a transducer on a CPU. `None` on a GPU, for CTC, and for an archive of an
    /// earlier release, which does not give its weights: the archive's own methods run there.
    native: Option<NativeHead>,
}

/// Utterances on the network's device, padded to one length: the input of one pass through the encoder.
pub(crate) struct Audio {
    /// (N, S).
    pub(crate) samples: Tensor,
    /// Valid samples of each utterance.
    pub(crate) n_samples: Vec<i64>,
    /// On a GPU: the end of the upload.
    pub(crate) arrived: Option<StreamEvent>,
}

/// Encoded utterances on the network's device: one batch of the search.
pub(crate) struct Encoded {
    /// The joint's projection of the encoder's output, (N, T', J), or CTC's emissions, (N, T', 3).
    pub(crate) frames: Tensor,
    /// Valid encoder frames of each utterance.
    pub(crate) n_frames: Vec<usize>,
    /// On a GPU: the end of the encoder's work, which [`Network::search_after`] passes to the search.
    pub(crate) ready: Option<StreamEvent>,
}

impl Network {
    /// Loads the archive at `path` to `device`. With `predicts_in_int8` the predictor on a CPU multiplies
    /// bytes.
    pub(crate) fn load(
        path: &Path,
        device: tch::Device,
        predicts_in_int8: bool,
    ) -> Result<Self, Error> {
        let loaded = Module::load(path, device).and_then(|module| {
            let weights = if device.is_cuda() {
                None
            } else {
                ArchiveWeights::read(&module)?
            };
            let native = weights.map(|weights| {
                let weights = weights.to_host()?;
                Ok::<_, TchError>(NativeHead::new(weights, predicts_in_int8))
            });
            Ok(Self {
                native: native.transpose()?,
                module,
            })
        });
        loaded.map_err(|why| load_failure(path, why))
    }

    /// Brings utterances, of which there is at least one, to the device. All are padded to the longest, and
    /// to `min_samples` at least, so that no layer meets a tensor without elements.
    pub(crate) fn upload_audio(
        &self,
        utterances: &[&[f32]],
        min_samples: usize,
    ) -> Result<Audio, Error> {
        let longest = utterances.iter().map(|it| it.len()).max().unwrap_or(0);
        let n_columns = longest.max(min_samples);
        let uploaded = match self.module.streams {
            Some(streams) => streams.upload.queue(|| {
                // From pinned memory the copy is only queued here; from any other the host would wait for it.
                let rows = padded_rows(utterances, n_columns, true)?;
                let device = self.module.device;
                let samples = rows.f_to_device_(device, tch::Kind::Float, true, false)?;
                Ok((samples, Some(StreamEvent::record()?)))
            }),
            None => padded_rows(utterances, n_columns, false).map(|samples| (samples, None)),
        };
        match uploaded {
            Ok((samples, arrived)) => Ok(Audio {
                samples,
                n_samples: utterances.iter().map(|it| it.len() as i64).collect(),
                arrived,
            }),
            Err(why) => {
                let arguments = format!("{} rows, the longest {longest}", utterances.len());
                Err(method_failure("encode", arguments, why))
            }
        }
    }

    /// Encodes passes one after another, and joins them to one batch.
    ///
    /// The host waits for the end of each pass before it queues the next, because a GPU's queue does not hold
    /// the calls of two passes; see [`encoder_thread`]. An error drops the passes that were encoded before
    /// it, and with them their memory: an [`Error::OutOfMemory`] leaves nothing of the batch behind.
    pub(crate) fn encode_passes(
        &self,
        passes: impl Iterator<Item = Result<Audio, Error>>,
    ) -> Result<Encoded, Error> {
        let passes = passes.map(|audio| {
            let encoded = self.encode(audio?)?;
            self.synchronize()?;
            Ok(encoded)
        });
        let (frames, n_frames) = join(passes.collect::<Result<_, _>>()?)?;
        Ok(Encoded {
            frames,
            n_frames,
            // Recorded behind the join, whose kernels are queued and not waited for.
            ready: self.record_event()?,
        })
    }

    /// Encodes one pass: (N, T', J), or CTC's emissions (N, T', 3), and the valid encoder frames of each
    /// utterance. On a GPU this returns as soon as the work is queued.
    fn encode(&self, audio: Audio) -> Result<(Tensor, Vec<usize>), Error> {
        let n = audio.n_samples.len();
        let wrap = |why| method_failure("encode", format!("{n} utterances"), why);
        // The counts stay on the host, so that nothing that depends on them waits for the device.
        let n_samples = Tensor::f_from_slice(&audio.n_samples).map_err(wrap)?;
        if let Some(arrived) = &audio.arrived {
            // First the wait, then the note: the samples were made on the upload's stream and are read on
            // this one, and their memory must outlive the reading.
            let ordered = arrived
                .block_current_stream()
                .and_then(|()| record_stream(&audio.samples));
            ordered.map_err(wrap)?;
        }
        let arguments = [audio.samples.into(), n_samples.into()];
        let (encoded, n_frames): (Tensor, Tensor) = self.module.call("encode", arguments)?;
        let mut n_encoder_frames = vec![0_i64; n];
        n_frames
            .f_copy_data(&mut n_encoder_frames, n)
            .map_err(wrap)?;
        let n_encoder_frames = n_encoder_frames.into_iter().map(|n| n as usize);
        Ok((encoded, n_encoder_frames.collect()))
    }

    /// Makes the host wait for everything that was encoded so far.
    fn synchronize(&self) -> Result<(), Error> {
        match self.record_event()? {
            Some(event) => event
                .synchronize()
                .map_err(|why| method_failure("encode", String::new(), why)),
            None => Ok(()),
        }
    }

    /// On a GPU: an event behind everything that was encoded and joined so far.
    fn record_event(&self) -> Result<Option<StreamEvent>, Error> {
        let event = self.module.streams.map(|_| StreamEvent::record());
        event
            .transpose()
            .map_err(|why| method_failure("encode", String::new(), why))
    }

    /// Makes the search's stream wait for an encoded batch; the host does not wait.
    pub(crate) fn search_after(&self, ready: &StreamEvent) -> Result<(), Error> {
        self.module
            .run_search(|| ready.block_current_stream())
            .map_err(|why| method_failure("score", String::new(), why))
    }

    /// CTC: copies the emissions (N, T', 3) of an encoded batch to the host, row by row.
    pub(crate) fn emissions(&self, encoded: &Tensor) -> Result<Vec<f32>, Error> {
        let mut emissions = vec![0.0; encoded.numel()];
        let copied = self
            .module
            .run_search(|| encoded.f_copy_data(&mut emissions, encoded.numel()));
        copied.map_err(|why| method_failure("encode", format!("{:?}", encoded.size()), why))?;
        Ok(emissions)
    }

    /// RNNT and TDT: the predictor states of encoded utterances (N, T', J) after the start of sequence.
    pub(crate) fn initial_states(
        &self,
        encoded: Tensor,
    ) -> Result<Box<dyn PredictorStates + '_>, Error> {
        Ok(match &self.native {
            Some(head) => {
                let states = || native_states(head, &encoded);
                Box::new(self.module.run_search(states)?)
            }
            None => Box::new(TorchScriptStates::new(&self.module, encoded)?),
        })
    }

    /// Whether the joint's products run on a CPU's tiles.
    pub(crate) fn scores_on_tiles(&self) -> bool {
        self.native
            .as_ref()
            .is_some_and(NativeHead::scores_on_tiles)
    }

    /// Memory of the native predictor and joint, which comes on top of the archive's.
    pub(crate) fn n_native_bytes(&self) -> u64 {
        self.native.as_ref().map_or(0, |it| it.n_bytes() as u64)
    }
}

fn native_states<'a>(head: &'a NativeHead, encoded: &Tensor) -> Result<NativeStates<'a>, Error> {
    let wrap = |why| method_failure("initial_state", format!("{:?}", encoded.size()), why);
    let (n, n_columns, width) = encoded.size3().map_err(wrap)?;
    let frames = to_vec(encoded).map_err(wrap)?;
    NativeStates::new(head, frames, [n, n_columns, width].map(|it| it as usize))
}

/// Joins encoded passes to one batch; shorter ones are padded with zeros.
fn join(mut passes: Vec<(Tensor, Vec<usize>)>) -> Result<(Tensor, Vec<usize>), Error> {
    if passes.len() == 1 {
        return Ok(passes.remove(0));
    }
    let n_passes = passes.len();
    let wrap = |why| method_failure("encode", format!("{n_passes} batches, joined"), why);
    let longest = passes.iter().map(|(it, _)| it.size()[1]).max().unwrap_or(0);
    let (padded, n_encoder_frames): (Vec<_>, Vec<_>) = passes
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
