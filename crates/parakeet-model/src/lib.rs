//! Loads a Parakeet bundle through libtorch, encodes utterances, and scores their encoder frames for the
//! search.
//!
//! A bundle is a folder that `cargo xtask export-model` writes: `manifest.json`, `vocabulary.json` and
//! a frozen TorchScript archive per compute type. [`ParakeetModel::encode`] turns a batch of samples
//! into [`Utterances`], which [`rnnt_decode::search`] searches. This crate alone knows libtorch; no
//! tensor is part of its API, and the scores over the vocabulary never leave the device.
//!
//! A program that serves models by name parses the name as a [`ModelId`], finds the bundle's folder in
//! [`Bundles`], and keeps the loaded models in a [`ParakeetStore`].
//!
//! ```no_run,standalone_crate
//! use std::path::Path;
//!
//! use parakeet_model::{ComputeType, Device, ParakeetModel};
//! use rnnt_decode::{SearchRules, search};
//!
//! let dir = Path::new("models/parakeet-rnnt-tiny");
//! let model = ParakeetModel::load(dir, Device::Auto, ComputeType::Auto)?;
//! let one_second_of_silence = [0.0; 16_000];
//! let mut utterances = model.encode(&[&one_second_of_silence])?;
//! let found = search(&mut utterances, &SearchRules::default())?;
//! assert!(found.hypotheses[0].tokens.is_empty());
//! # Ok::<(), parakeet_model::Error>(())
//! ```

mod bundle;
mod compute_type;
mod error;
mod libtorch;
mod model;
mod names;
mod network;
mod parakeet_store;
mod pending_encoding;
mod store;
mod transducer;
mod utterances;

pub use bundle::directory::{Bundles, UnknownModel};
pub use bundle::manifest::ModelManifest;
pub use bundle::model_id::{InvalidModelId, ModelId};
pub use compute_type::ComputeType;
pub use error::Error;
pub use libtorch::device::{Device, DeviceMemory};
pub use libtorch::threads::set_threads;
pub use model::ParakeetModel;
pub use parakeet_store::ParakeetStore;
pub use pending_encoding::PendingEncoding;
pub use store::{ModelStore, StoreError, StoreLimits};
pub use utterances::Utterances;
