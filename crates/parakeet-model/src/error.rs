//! Why a model cannot be loaded, and why an encoding or a search fails.

use std::path::PathBuf;

use crate::compute_type::ComputeType;

/// The error of another library. Its type is erased, so that no other library is part of our API.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a bundle cannot be loaded, or why an encoding or a search fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder is no bundle, or a file of the bundle is missing.
    #[error(
        "{} is missing from the model bundle; `cargo xtask export-model` writes whole bundles",
        path.display()
    )]
    MissingFile {
        /// The missing file.
        path: PathBuf,
    },

    /// A file of the bundle cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
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
        /// The version in the manifest.
        actual: u64,
        /// The version that this program reads.
        expected: u64,
    },

    /// The manifest contradicts itself or the vocabulary.
    #[error("{} is inconsistent: {problem}", path.display())]
    Inconsistent {
        /// The manifest.
        path: PathBuf,
        /// The contradiction, with its numbers.
        problem: String,
    },

    /// A file of the bundle is cut off, or differs from the exported file.
    #[error("{} has {actual} bytes, expected {expected}; copy or export the bundle again", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// The size of the file.
        actual: u64,
        /// The size in the manifest.
        expected: u64,
    },

    /// A file of the bundle is damaged, or differs from the exported file.
    #[error("{} has SHA-256 {actual}, expected {expected}; copy or export the bundle again", path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// The digest of the file, in hexadecimal.
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
        /// The missing compute type.
        asked: ComputeType,
        /// The compute types in the bundle, separated by commas.
        available: String,
        /// The model's id.
        model_id: String,
        /// The bundle's folder.
        dir: PathBuf,
    },

    /// The device cannot compute in this type: ask for another one, or for `auto`.
    #[error("compute type {asked} cannot be had here: {obstacle}")]
    ComputeTypeUnsupported {
        /// The compute type.
        asked: ComputeType,
        /// What the device lacks.
        obstacle: &'static str,
    },

    /// CUDA was asked for, and this machine does not offer it.
    #[error("device cuda is not available: {reason}")]
    CudaUnavailable {
        /// Why CUDA cannot be opened.
        reason: String,
    },

    /// libtorch cannot read the archive, although the archive's digest is right.
    #[error("cannot load the network from {}{hint}", path.display())]
    Load {
        /// The archive.
        path: PathBuf,
        /// A known cause and its remedy, as the end of the sentence; empty if the cause is not known.
        hint: &'static str,
        /// The error of libtorch.
        source: Cause,
    },

    /// The batch holds no utterances.
    #[error("a batch holds no utterance, expected at least one")]
    EmptyBatch,

    /// An utterance is longer than the network was exported for: cut it.
    #[error(
        "utterance {utterance} of the batch has {n_samples} samples, expected at most {max_samples}"
    )]
    TooLong {
        /// The utterance's row in the batch.
        utterance: usize,
        /// The utterance's length.
        n_samples: usize,
        /// [`crate::ModelManifest::max_samples`].
        max_samples: usize,
    },

    /// The device's memory is full: worth one retry with a smaller batch.
    #[error("out of memory in {method}({arguments})")]
    OutOfMemory {
        /// The network's method.
        method: &'static str,
        /// Shapes of the method's arguments.
        arguments: String,
        /// The error of libtorch.
        source: Cause,
    },

    /// The GPU is lost to this process: every later call on it fails. A new process may be able to use it
    /// again.
    #[error("the GPU was lost in {method}({arguments})")]
    DeviceLost {
        /// The network's method.
        method: &'static str,
        /// Shapes of the method's arguments.
        arguments: String,
        /// The error of libtorch.
        source: Cause,
    },

    /// The network refused its arguments, or its result has another type or shape than agreed.
    #[error("the network failed in {method}({arguments})")]
    Network {
        /// The network's method.
        method: &'static str,
        /// Shapes of the method's arguments.
        arguments: String,
        /// The error of libtorch.
        source: Cause,
    },

    /// A score of the network is not finite: the compute type overflows on this input.
    #[error(
        "the network scored frame {frame} of utterance {utterance} as {log_prob}, expected a finite number"
    )]
    NotFinite {
        /// The utterance's row in the batch.
        utterance: usize,
        /// Encoder frame.
        frame: usize,
        /// The score.
        log_prob: f32,
    },
}
