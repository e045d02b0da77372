//! Says whose fault it is that a recording has no transcript: the task's, or this engine's.

use dalston_engine_sdk::TaskError;
use dalston_engine_sdk::audio::AudioError;

use crate::transcriber::Error;

/// The task's error for a recording without a transcript: of kind `Input` if the recording is at fault, else
/// of kind `Engine`.
///
/// # Panics
///
/// If the GPU was lost: see [`give_up`].
pub(super) fn task_error(why: Error) -> TaskError {
    match why {
        // The file was stored on this machine a moment ago, so the machine is at fault and not the task. The
        // task fails like any task that the engine cannot do; the pipeline decides on another try.
        Error::Audio(why @ AudioError::Io(_)) => TaskError::engine(why.to_string()).caused_by(why),
        Error::Audio(why) => TaskError::input(why.to_string()).caused_by(why),
        Error::Model(why @ parakeet_model::Error::OutOfMemory { .. }) => TaskError::engine(
            "there is not enough memory for this audio; a smaller config.batch_size needs less",
        )
        .caused_by(why),
        Error::Model(why @ parakeet_model::Error::DeviceLost { .. }) => give_up(&why),
        Error::Model(why) => {
            TaskError::engine("the network cannot transcribe this audio").caused_by(why)
        }
    }
}

/// Panics, because CUDA does not work again in a process that has lost its GPU. The SDK treats this panic as any
/// panic of the engine: it loads the engine again, and if the GPU is still lost then, the process ends and its
/// successor starts afresh. A task that the engine had alone fails; of several tasks, each runs again alone.
pub(super) fn give_up(why: &parakeet_model::Error) -> ! {
    let cause = std::error::Error::source(why);
    panic!(
        "{why}: {}",
        cause.map(ToString::to_string).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use dalston_engine_sdk::ErrorKind;

    use super::*;

    #[test]
    fn bad_audio_is_the_tasks_fault_and_a_full_memory_is_not() {
        let kind = |why: Error| task_error(why).kind();
        assert_eq!(kind(AudioError::Empty.into()), ErrorKind::Input);
        assert_eq!(
            kind(AudioError::Io(std::io::Error::other("disk")).into()),
            ErrorKind::Engine
        );
        let full = parakeet_model::Error::OutOfMemory {
            method: "encode",
            arguments: String::new(),
            source: "2 GiB".into(),
        };
        assert_eq!(kind(full.into()), ErrorKind::Engine);
    }

    #[test]
    #[should_panic(expected = "the GPU was lost in encode")]
    fn a_lost_gpu_breaks_the_engine_down() {
        let lost = parakeet_model::Error::DeviceLost {
            method: "encode",
            arguments: String::new(),
            source: "CUDA error".into(),
        };
        task_error(lost.into());
    }

    #[test]
    fn the_cause_of_a_fault_is_for_the_log_alone() {
        let disk = std::io::Error::other("/secret/place");
        let err = task_error(AudioError::Io(disk).into());
        assert!(!err.to_string().contains("/secret"), "{err}");
        assert!(err.chain().contains("/secret"), "{}", err.chain());
    }
}
