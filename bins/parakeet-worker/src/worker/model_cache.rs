//! Finds the model that a task means, and keeps models loaded.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Instant;

use dalston_engine_sdk::{EngineHealth, TaskError};
use parakeet_model::{
    Bundles, ComputeType, Device, Error, ModelId, ModelManifest, ParakeetModel, ParakeetStore,
    StoreError, StoreLimits, set_threads,
};

use super::fault::give_up;
use crate::model_dir::{self, DEFAULT_MODEL};

/// The worker's settings about models.
#[derive(Debug, Clone)]
pub(super) struct ModelSettings {
    /// An id or a folder; `None` is the program's default.
    pub(super) default_model: Option<String>,
    pub(super) model_dir: Option<PathBuf>,
    /// Most models in memory at the same time.
    pub(super) max_models: usize,
    pub(super) device: Device,
}

impl ModelSettings {
    /// The ids of all models with a bundle.
    pub(super) fn ids(&self) -> Vec<String> {
        let ids = Bundles::new(self.model_dir.clone()).ids();
        ids.iter().map(ToString::to_string).collect()
    }
}

/// The loaded models, at most as many as the worker may keep. The store drops the least recently used first.
pub(super) struct ModelCache {
    bundles: Bundles,
    default: BundleChoice,
    device: Device,
    store: ParakeetStore,
    /// Models that the store has loaded. Weak, because the store drops models by itself and does not say so:
    /// a reference here would keep their memory.
    seen: Vec<Weak<ParakeetModel>>,
    /// The id of the most recently used model.
    last: Option<String>,
}

/// The bundle that a task uses: its folder and its model's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BundleChoice {
    dir: PathBuf,
    id: String,
}

impl ModelCache {
    /// Finds the default model and loads it.
    pub(super) fn open(settings: &ModelSettings) -> Result<Self, TaskError> {
        let bundles = Bundles::new(settings.model_dir.clone());
        let name = settings.default_model.as_deref().unwrap_or(DEFAULT_MODEL);
        let dir = model_dir::find(name, &bundles);
        let missing = "the default model is not there; DALSTON_DEFAULT_MODEL names another";
        let dir = dir.map_err(|why| TaskError::engine(missing).caused_by(why))?;
        // The folder may have any name, so the id comes from the manifest.
        let manifest = ModelManifest::read(&dir);
        let broken = "the default model's manifest cannot be read";
        let manifest = manifest.map_err(|why| TaskError::engine(broken).caused_by(why))?;
        let default = BundleChoice {
            dir,
            id: manifest.model_id,
        };
        set_threads(None);
        let mut cache = Self {
            bundles,
            default: default.clone(),
            device: settings.device,
            store: ParakeetStore::new(StoreLimits {
                max_bytes: u64::MAX,
                max_models: settings.max_models,
            }),
            seen: Vec::new(),
            last: None,
        };
        let (model, _) = cache.load(&default, ComputeType::Auto)?;
        if settings.device == Device::Auto && model.device() == Device::Cpu {
            tracing::warn!(device = "cpu", "cuda_unavailable");
        }
        Ok(cache)
    }

    /// The bundle for a model's name. No name, or the name of another engine's model, gives the default
    /// bundle; the latter with a warning for the user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](dalston_engine_sdk::ErrorKind::Input) if the name is no id, or the id of a Parakeet
    /// that has no bundle.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
    ) -> Result<(BundleChoice, Option<String>), TaskError> {
        let Some(name) = name else {
            return Ok((self.default.clone(), None));
        };
        let id: ModelId = name
            .parse()
            .map_err(|why| TaskError::input(format!("config.model is not a model's id: {why}")))?;
        if id.as_str() == self.default.id {
            return Ok((self.default.clone(), None));
        }
        match self.bundles.find(&id) {
            Ok(dir) => {
                let id = id.to_string();
                Ok((BundleChoice { dir, id }, None))
            }
            Err(why) if is_parakeet(&id) => Err(TaskError::input(format!(
                "there is no bundle of model {id} here; `cargo xtask export-model {id}` makes it"
            ))
            .caused_by(why)),
            Err(_) => {
                let default = &self.default.id;
                tracing::warn!(model = name, default, "model_unknown");
                let warning = format!("Model '{name}' is of another engine; {default} was used");
                Ok((self.default.clone(), Some(warning)))
            }
        }
    }

    /// The model of a bundle, and whether it was loaded already. Loads the model if it was not.
    pub(super) fn load(
        &mut self,
        bundle: &BundleChoice,
        compute_type: ComputeType,
    ) -> Result<(Arc<ParakeetModel>, bool), TaskError> {
        let began = Instant::now();
        let model = self.store.load(&bundle.dir, self.device, compute_type);
        let model = model.map_err(|why| load_error(&bundle.id, why))?;
        self.seen.retain(|seen| seen.strong_count() > 0);
        let is_same = |seen: &Weak<_>| seen.as_ptr() == Arc::as_ptr(&model);
        let was_loaded = self.seen.iter().any(is_same);
        if !was_loaded {
            self.seen.push(Arc::downgrade(&model));
            tracing::info!(
                model = bundle.id,
                device = model.device().name(),
                compute_type = model.compute_type().name(),
                load_time = began.elapsed().as_secs_f64(),
                "model_loaded_successfully"
            );
        }
        self.last = Some(model.manifest().model_id.clone());
        Ok((model, was_loaded))
    }

    /// The device of the loaded models, or the requested device if none is loaded.
    pub(super) fn device(&self) -> Device {
        let mut loaded = self.seen.iter().filter_map(Weak::upgrade);
        loaded.next().map_or(self.device, |model| model.device())
    }

    /// The engine's part of the health page.
    pub(super) fn health(&self) -> EngineHealth {
        let loaded: Vec<_> = self.seen.iter().filter_map(Weak::upgrade).collect();
        let on_cuda = loaded.iter().any(|it| it.device() == Device::Cuda);
        let ids = loaded.iter().map(|it| it.manifest().model_id.clone());
        // All models share one GPU, so the figures of any model are those of all.
        let memory = loaded.iter().find_map(|it| it.device_memory());
        EngineHealth {
            model_name: self.last.clone(),
            models_loaded: ids.collect(),
            device: if on_cuda { Device::Cuda } else { Device::Cpu }.to_string(),
            cuda_available: on_cuda,
            cuda_device_count: u32::from(on_cuda),
            gpu_memory_used_bytes: memory.map(|it| it.total.saturating_sub(it.free)),
            gpu_memory_total_bytes: memory.map(|it| it.total),
        }
    }
}

/// Whether a name can only mean a model of this engine: its last part starts with `parakeet`.
fn is_parakeet(id: &ModelId) -> bool {
    let name = id.as_str().rsplit('/').next().unwrap_or_default();
    name.to_ascii_lowercase().starts_with("parakeet")
}

/// The task's error for a model that cannot be loaded. The sentence goes to the user, so it names no folder of
/// this machine; the chain in the log does.
fn load_error(id: &str, why: StoreError<Error>) -> TaskError {
    let StoreError::Load(cause) = why else {
        return TaskError::engine(format!("there is no room for model {id}")).caused_by(why);
    };
    let error = match &*cause {
        Error::ComputeTypeNotInBundle {
            asked, available, ..
        } => TaskError::input(format!(
            "the bundle of {id} has no {asked} archive, only {available}; `cargo xtask export-model \
             {id} --dtype {}` writes it and those anew",
            format!("{available},{asked}").replace(' ', "")
        )),
        Error::DeviceLost { .. } => give_up(&cause),
        Error::ComputeTypeUnsupported { .. } => TaskError::input(cause.to_string()),
        Error::CudaUnavailable { .. } => TaskError::engine(
            "DALSTON_DEVICE is cuda, and no GPU can be used; auto or cpu runs without one",
        ),
        _ => TaskError::engine(format!("model {id} cannot be loaded")),
    };
    error.caused_by(cause)
}

#[cfg(test)]
mod tests {
    use dalston_engine_sdk::ErrorKind;

    use super::*;

    /// A cache over a folder with one bundle, which is not the default one. No model is loaded.
    fn models(other: &str) -> (ModelCache, tempfile::TempDir) {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = root.path().join(other.replace('/', "--"));
        std::fs::create_dir(&folder).expect("it can be made");
        std::fs::write(folder.join(ModelManifest::FILE), "{}").expect("it can be written");
        let default = BundleChoice {
            dir: "/somewhere/else".into(),
            id: "someone/default".into(),
        };
        let models = ModelCache {
            bundles: Bundles::new(Some(root.path().to_owned())),
            default,
            device: Device::Cpu,
            store: ParakeetStore::new(StoreLimits {
                max_bytes: u64::MAX,
                max_models: 1,
            }),
            seen: Vec::new(),
            last: None,
        };
        (models, root)
    }

    #[track_caller]
    fn chosen(name: Option<&str>) -> (String, Option<String>) {
        let (models, _root) = models("nvidia/parakeet-ctc-0.6b");
        let (bundle, warning) = models.choose(name).expect("there is a model for it");
        (bundle.id, warning)
    }

    #[test]
    fn any_spelling_of_a_model_with_a_bundle_means_it() {
        let own = ("nvidia/parakeet-ctc-0.6b".to_owned(), None);
        assert_eq!(chosen(Some("nvidia/parakeet-ctc-0.6b")), own);
        assert_eq!(chosen(Some("parakeet-ctc-0.6b")), own);
    }

    #[test]
    fn no_name_and_the_defaults_own_mean_the_default_wherever_it_lies() {
        let default = ("someone/default".to_owned(), None);
        assert_eq!(chosen(None), default);
        assert_eq!(chosen(Some("someone/default")), default);
    }

    #[test]
    fn a_model_of_another_engine_gives_the_default_and_a_warning() {
        let (id, warning) = chosen(Some("large-v3"));
        assert_eq!(id, "someone/default");
        assert_eq!(
            warning.as_deref(),
            Some("Model 'large-v3' is of another engine; someone/default was used")
        );
    }

    #[test]
    fn a_parakeet_without_a_bundle_is_refused_with_the_command_that_makes_it() {
        let (models, root) = models("nvidia/parakeet-ctc-0.6b");
        let err = models.choose(Some("parakeet-1.1b")).expect_err("refused");
        assert_eq!(err.kind(), ErrorKind::Input);
        assert_eq!(
            err.to_string(),
            "there is no bundle of model nvidia/parakeet-rnnt-1.1b here; `cargo xtask export-model \
             nvidia/parakeet-rnnt-1.1b` makes it"
        );
        let folder = root.path().display().to_string();
        assert!(
            err.chain().contains(&folder),
            "the log says where it was looked for"
        );
    }

    #[test]
    fn what_could_lead_out_of_the_folder_is_refused() {
        let (models, _root) = models("nvidia/parakeet-ctc-0.6b");
        for name in ["../outside", "/etc", "", "a b"] {
            let err = models.choose(Some(name)).expect_err("refused");
            assert_eq!(err.kind(), ErrorKind::Input, "{name:?}");
        }
    }

    #[test]
    fn a_gpu_that_is_asked_for_and_absent_is_said_plainly() {
        let why = Error::CudaUnavailable {
            reason: "no NVIDIA driver is found".to_owned(),
        };
        let err = load_error("m", StoreError::Load(Arc::new(why)));
        assert_eq!(
            err.to_string(),
            "DALSTON_DEVICE is cuda, and no GPU can be used; auto or cpu runs without one"
        );
        assert!(
            err.chain().ends_with("no NVIDIA driver is found"),
            "{}",
            err.chain()
        );
    }
}
