//! A TorchScript archive that libtorch has loaded, and calls of its methods.
//!
//! [`Module::call`] runs a method without gradients. It wraps an error at once with the method's name and the
//! shapes of its arguments, because libtorch's own text contains neither.

use std::path::Path;

use tch::{CModule, IValue, TchError};

use crate::error::Error;
use crate::libtorch::failure::method_failure;
use crate::libtorch::gemm_ops;
use crate::libtorch::streams::Streams;
use crate::libtorch::threads::on_one_thread;

/// A loaded archive on its device.
pub(crate) struct Module {
    script: CModule,
    pub(crate) device: tch::Device,
    /// `None` on a CPU.
    pub(crate) streams: Option<&'static Streams>,
}

impl Module {
    /// Loads the archive at `path` straight to `device`, in the compute type of its export.
    pub(crate) fn load(path: &Path, device: tch::Device) -> Result<Self, TchError> {
        gemm_ops::register();
        // The archive is frozen and optimised. Profiling and fusing optimise it again for the shapes of the
        // first batches, and every batch has a new shape: they doubled the time of the first batch and saved
        // nothing later.
        tch::jit::f_set_tensor_expr_fuser_enabled(false)?;
        tch::jit::f_set_profiling_mode(false)?;
        let script = CModule::load_on_device(path, device)?;
        let streams = device.is_cuda().then(Streams::shared).transpose()?;
        Ok(Self {
            script,
            device,
            streams,
        })
    }

    /// Calls a method. On a GPU the call returns as soon as its work is queued on the current stream.
    pub(crate) fn call<T, const N: usize>(
        &self,
        method: &'static str,
        arguments: [IValue; N],
    ) -> Result<T, Error>
    where
        T: TryFrom<IValue, Error = TchError>,
    {
        tch::no_grad(|| self.script.method_is(method, &arguments))
            .and_then(T::try_from)
            .map_err(|why| {
                let shapes: Vec<_> = arguments.iter().map(shape).collect();
                method_failure(method, shapes.join(", "), why)
            })
    }

    /// Calls a method without arguments; `None` if the archive has no such method.
    pub(crate) fn call_if_defined(&self, method: &str) -> Result<Option<IValue>, TchError> {
        let undefined = format!("Method '{method}' is not defined");
        match self.script.method_is::<IValue>(method, &[]) {
            // libtorch has no code for a missing method.
            Err(why) if why.to_string().contains(&undefined) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Runs work of the search: on a GPU in the search's stream, on a CPU without libtorch's other threads.
    ///
    /// The search's stream keeps the search from waiting behind the encoder, which works on the default
    /// stream.
    pub(crate) fn run_search<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.streams {
            Some(streams) => streams.search.queue(work),
            None => on_one_thread(work),
        }
    }
}

fn shape(argument: &IValue) -> String {
    match argument {
        IValue::Tensor(tensor) => format!("{:?}", tensor.size()),
        other => format!("{other:?}"),
    }
}
