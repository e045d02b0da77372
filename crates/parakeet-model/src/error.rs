//! Why a model could not be loaded, or could not answer.

use std::path::PathBuf;

use crate::ComputeType;

/// A cause of another library's type, kept out of our API.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a bundle could not be loaded, or a network could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder is not a bundle, or not a whole one.
    #[error(
        "{} is missing from the model bundle; `cargo xtask export-model` writes whole bundles",
        path.display()
    )]
    MissingFile {
        /// The file that should be there.
        path: PathBuf,
    },

    /// A file of the bundle cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },

    /// A file of the bundle is not JSON of the expected shape.
    #[error("cannot understand {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Cause,
    },

    /// The bundle was written by an exporter that this program does not know.
    #[error(
        "{} has bundle format version {actual}, expected {expected}; export the model again with \
         the exporter of this release",
        path.display()
    )]
    UnknownFormatVersion {
        /// The manifest.
        path: PathBuf,
        /// The version it says.
        actual: u64,
        /// The version this program reads.
        expected: u64,
    },

    /// The manifest contradicts itself or the vocabulary.
    #[error("{} is inconsistent: {problem}", path.display())]
    Inconsistent {
        /// The manifest.
        path: PathBuf,
        /// What does not fit, with the numbers.
        problem: String,
    },

    /// A file of the bundle is cut off, or not the one that was exported.
    #[error("{} has {actual} bytes, expected {expected}; copy or export the bundle again", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        actual: u64,
        /// The size in the manifest.
        expected: u64,
    },

    /// A file of the bundle is damaged, or not the one that was exported.
    #[error("{} has SHA-256 {actual}, expected {expected}; copy or export the bundle again", path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// Its digest, in hexadecimal.
        actual: String,
        /// The digest in the manifest.
        expected: String,
    },

    /// The bundle holds no archive of this compute type.
    #[error(
        "the bundle of {model_id} has no {asked} archive, only {available}; `cargo xtask \
         export-model {model_id} --out {} --dtype {}` writes it and those anew",
        dir.display(),
        format!("{available},{asked}").replace(' ', "")
    )]
    ComputeTypeNotInBundle {
        /// The compute type that is missing.
        asked: ComputeType,
        /// Those that are there, with commas between.
        available: String,
        /// The model's id.
        model_id: String,
        /// The bundle's folder.
        dir: PathBuf,
    },

    /// The device cannot compute in this type: ask for another, or for `auto`.
    #[error("compute type {asked} cannot be had here: {obstacle}")]
    ComputeTypeUnsupported {
        /// The compute type.
        asked: ComputeType,
        /// What the device lacks.
        obstacle: &'static str,
    },

    /// CUDA was asked for and cannot be had.
    #[error("device cuda is not available: {reason}")]
    CudaUnavailable {
        /// The step that failed.
        reason: String,
    },

    /// The archive cannot be read by libtorch, although its digest is right.
    #[error("cannot load the network from {}{hint}", path.display())]
    Load {
        /// The archive.
        path: PathBuf,
        /// What to do about it, where that is known.
        hint: &'static str,
        /// What libtorch says.
        source: Cause,
    },

    /// A batch without utterances.
    #[error("a batch holds no utterance, expected at least one")]
    EmptyBatch,

    /// An utterance is longer than the network was exported for: cut it.
    #[error(
        "utterance {utterance} of the batch has {n_samples} samples, expected at most {max_samples}"
    )]
    TooLong {
        /// Its row in the batch.
        utterance: usize,
        /// Its length.
        n_samples: usize,
        /// [`crate::ModelManifest::max_samples`].
        max_samples: usize,
    },

    /// The device's memory is full: worth one retry with a smaller batch.
    #[error("out of memory in {method}({arguments})")]
    OutOfMemory {
        /// The network's method.
        method: &'static str,
        /// Shapes of its arguments.
        arguments: String,
        /// What libtorch says.
        source: Cause,
    },

    /// The device is lost to this process: whatever is asked of it from now on fails. Another process may
    /// have it again.
    #[error("the GPU was lost in {method}({arguments})")]
    DeviceLost {
        /// The network's method.
        method: &'static str,
        /// Shapes of its arguments.
        arguments: String,
        /// What libtorch says.
        source: Cause,
    },

    /// The network refused its input or answered something else than agreed.
    #[error("the network failed in {method}({arguments})")]
    Network {
        /// The network's method.
        method: &'static str,
        /// Shapes of its arguments.
        arguments: String,
        /// What libtorch says.
        source: Cause,
    },

    /// The network's scores are not numbers: its compute type overflows on this input.
    #[error(
        "the network scored frame {frame} of utterance {utterance} as {log_prob}, expected a finite number"
    )]
    NotFinite {
        /// Row of the batch.
        utterance: usize,
        /// Encoder frame.
        frame: usize,
        /// The score.
        log_prob: f32,
    },
}
