//! `engine.yaml`: the description of the engine for Dalston, from which the worker takes its capabilities.

use std::io::{self, Write as _};

use anyhow::Context as _;
use dalston_engine_sdk::Capabilities;
use dalston_engine_sdk::contract::Contract;
use schemars::{Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::task_config::TranscribeConfig;

/// The keys of the manifest that the worker reads. Dalston defines their names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EngineManifest {
    /// The engine's id, which is part of its queue's name.
    pub id: String,
    version: String,
    stage: String,
    container: Container,
    capabilities: WireCapabilities,
    hardware: Hardware,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Container {
    gpu: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct WireCapabilities {
    word_timestamps: bool,
    language_forcing: bool,
    max_concurrency: u32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Hardware {
    supports_cpu: bool,
    min_ram_gb: u64,
}

impl EngineManifest {
    /// The manifest as it was when the program was compiled.
    pub fn read() -> Self {
        serde_norway::from_str(TEXT).expect("a test reads the same text")
    }

    /// The engine's entry in the registry. It has no real-time factors: nobody has measured them.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            version: self.version.clone(),
            stages: vec![self.stage.clone()],
            supports_word_timestamps: self.capabilities.word_timestamps,
            supports_language_forcing: self.capabilities.language_forcing,
            gpu_required: self.container.gpu == "required",
            supports_cpu: self.hardware.supports_cpu,
            min_ram_gb: Some(self.hardware.min_ram_gb),
            max_concurrency: Some(self.capabilities.max_concurrency),
            ..Capabilities::default()
        }
    }
}

/// Prints the two schemas of the manifest, generated from the types that they describe.
///
/// # Errors
///
/// A failure to write.
pub fn print_schemas() -> anyhow::Result<()> {
    let schemas = serde_norway::to_string(&Schemas::new())?;
    write!(io::stdout(), "{schemas}").context("cannot write to standard output")
}

const TEXT: &str = include_str!("../../../engine.yaml");

#[derive(Serialize)]
struct Schemas {
    config_schema: Schema,
    output_schema: Schema,
}

impl Schemas {
    fn new() -> Self {
        Self {
            config_schema: schema_for!(TranscribeConfig),
            output_schema: Contract::m22_schema(),
        }
    }
}

#[cfg(test)]
mod tests {
    use dalston_engine_sdk::audio::AudioLimits;
    use serde_json::Value;

    use super::*;

    fn whole() -> Value {
        serde_norway::from_str(TEXT).expect("engine.yaml is YAML")
    }

    #[test]
    fn the_manifest_is_of_this_release_and_says_what_the_plan_says() {
        let manifest = EngineManifest::read();
        assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(
            (&*manifest.id, &*manifest.stage),
            ("parakeet", "transcribe")
        );
        let whole = whole();
        assert_eq!(whole["capabilities"]["native_word_timestamps"], true);
        assert_eq!(whole["capabilities"]["word_timestamps"], true);
        assert_eq!(
            whole["capabilities"]["max_audio_duration"].as_f64(),
            Some(AudioLimits::default().max_duration_s)
        );
        assert_eq!(whole["input"]["sample_rate"], 16_000);
    }

    /// The rules that Dalston's own check was seen to hold manifests to; it needs no more keys than
    /// these, and allows no others within `container`, `hardware` and `performance`.
    #[test]
    fn the_manifest_keeps_the_rules_of_todays_dalston() {
        let whole = whole();
        assert!(["1.0", "1.1"].contains(&whole["schema_version"].as_str().expect("text")));
        for key in ["id", "name", "version", "description"] {
            assert!(whole[key].is_string(), "{key}");
        }
        assert!(
            whole["description"]
                .as_str()
                .is_some_and(|it| it.len() >= 10)
        );
        assert!(whole.get("type").is_none(), "a stage, or a type");
        let keys = |place: &str| -> Vec<String> {
            let object = whole[place].as_object().expect(place);
            object.keys().cloned().collect()
        };
        assert_eq!(keys("container"), ["gpu", "memory", "model_cache"]);
        assert_eq!(keys("hardware"), ["min_ram_gb", "supports_cpu"]);
        assert!(whole.get("performance").is_none(), "nothing was measured");
        assert!(whole["config_schema"].is_object() && whole["output_schema"].is_object());
    }

    #[test]
    fn the_schemas_are_those_of_the_types() {
        let types = serde_json::to_value(Schemas::new()).expect("schemas are JSON");
        for key in ["config_schema", "output_schema"] {
            let is_current = whole()[key] == types[key];
            assert!(is_current, "{key} is behind: run `cargo xtask schema`");
        }
    }
}
