//! Bundles that are damaged, written by another release, or without the requested compute type. Each case has
//! an error of its own, found before weights are loaded.

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use parakeet_model::{
    ComputeType, Device, Error, ModelManifest, ParakeetModel, ParakeetStore, StoreError,
    StoreLimits,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::tiny::bundle;

/// A copy of the tiny bundle, with a manifest changed by `change`.
fn bundle_with(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder can be made");
    for file in ["model.float32.pt", "vocabulary.json"] {
        fs::copy(bundle().join(file), copy.path().join(file)).expect("it can be copied");
    }
    let manifest = fs::read_to_string(bundle().join(ModelManifest::FILE)).expect("it is there");
    let mut manifest = serde_json::from_str(&manifest).expect("it is JSON");
    change(&mut manifest);
    let manifest = manifest.to_string();
    fs::write(copy.path().join(ModelManifest::FILE), manifest).expect("it can be written");
    copy
}

fn load(dir: &Path) -> Result<ParakeetModel, Error> {
    ParakeetModel::load(dir, Device::Cpu, ComputeType::Auto)
}

/// The text of the error and its cause, with the temporary folder written as `DIR`.
#[track_caller]
fn refusal(bundle: &tempfile::TempDir) -> String {
    let why = load(bundle.path()).err().expect("the bundle is bad");
    let chain = why
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    format!("{why}{chain}").replace(&bundle.path().display().to_string(), "DIR")
}

#[test]
fn an_unchanged_copy_is_loaded() {
    let bundle = bundle_with(|_| ());
    let model = load(bundle.path()).expect("nothing is wrong with it");
    assert_eq!(model.compute_type(), ComputeType::Float32);
    assert_eq!(model.device(), Device::Cpu);
    assert_eq!(
        model.vocabulary().pieces().len(),
        model.manifest().vocabulary_size
    );
}

#[test]
fn a_folder_without_a_manifest_is_no_bundle() {
    let empty = tempfile::tempdir().expect("a temporary folder can be made");
    assert_eq!(
        refusal(&empty),
        "DIR/manifest.json is missing from the model bundle; `cargo xtask export-model` writes whole \
         bundles"
    );
}

#[test]
fn an_unknown_format_version_is_told_from_a_damaged_manifest() {
    // The version is checked first: the manifest lacks every other field, and that is not the error.
    let bundle = bundle_with(|manifest| *manifest = json!({"format_version": 3}));
    assert_eq!(
        refusal(&bundle),
        "DIR/manifest.json has bundle format version 3, expected 2; export the model again with the \
         exporter of this release"
    );
    let bundle = bundle_with(|manifest| *manifest = json!({"format_version": 2}));
    assert!(refusal(&bundle).starts_with("cannot understand DIR/manifest.json: missing field"));
}

#[test]
fn a_blank_that_is_not_the_vocabularys_size_is_refused() {
    let bundle = bundle_with(|manifest| manifest["blank_id"] = json!(0));
    assert!(refusal(&bundle).contains("blank_id is 0, expected vocabulary_size"));
}

#[test]
fn a_vocabulary_of_another_size_is_refused() {
    let bundle = bundle_with(|manifest| {
        manifest["vocabulary_size"] = json!(7);
        manifest["blank_id"] = json!(7);
    });
    assert!(refusal(&bundle).contains("vocabulary_size is 7, but the vocabulary has"));
}

#[test]
fn another_sample_rate_is_refused() {
    let bundle = bundle_with(|manifest| manifest["sample_rate_hz"] = json!(8000));
    assert!(refusal(&bundle).ends_with("sample_rate_hz is 8000, expected 16000"));
}

#[test]
fn a_manifest_cannot_lead_out_of_its_folder() {
    let bundle = bundle_with(|manifest| {
        manifest["archives"]["float32"]["file"] = json!("../model.float32.pt");
    });
    assert!(refusal(&bundle).contains("`../model.float32.pt` is not the name of a file"));
}

#[test]
fn a_missing_archive_is_named() {
    let bundle = bundle_with(|_| ());
    fs::remove_file(bundle.path().join("model.float32.pt")).expect("it is there");
    assert!(refusal(&bundle).starts_with("DIR/model.float32.pt is missing"));
}

#[test]
fn a_cut_archive_is_told_from_a_damaged_one() {
    let bundle = bundle_with(|_| ());
    let archive = bundle.path().join("model.float32.pt");
    let mut bytes = fs::read(&archive).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, &bytes).expect("it can be written");
    assert!(refusal(&bundle).starts_with("DIR/model.float32.pt has SHA-256 "));
    fs::write(&archive, &bytes[..middle]).expect("it can be written");
    assert!(refusal(&bundle).starts_with(&format!(
        "DIR/model.float32.pt has {middle} bytes, expected "
    )));
}

#[test]
fn an_archive_that_is_none_is_an_error_and_no_crash() {
    let content = b"PK not really";
    let digest: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let bundle = bundle_with(|manifest| {
        let record = &mut manifest["archives"]["float32"];
        record["bytes"] = json!(content.len());
        record["sha256"] = json!(digest);
    });
    fs::write(bundle.path().join("model.float32.pt"), content).expect("it can be written");
    let refusal = refusal(&bundle);
    assert!(
        refusal.starts_with("cannot load the network from DIR/model.float32.pt: "),
        "{refusal}"
    );
}

#[test]
fn a_compute_type_that_is_not_there_names_the_command_that_adds_it() {
    let bundle = bundle_with(|manifest| manifest["model_id"] = json!("nvidia/x"));
    let why = ParakeetModel::load(bundle.path(), Device::Cpu, ComputeType::Bfloat16).err();
    let text = why.expect("it has no bfloat16").to_string();
    assert_eq!(
        text.replace(&bundle.path().display().to_string(), "DIR"),
        "the bundle of nvidia/x has no bfloat16 archive, only float32; `cargo xtask \
         export-model nvidia/x --out DIR --dtype float32,bfloat16` writes it and those anew"
    );
}

#[test]
fn a_bundle_of_float16_alone_is_refused_on_a_cpu() {
    let bundle = bundle_with(|manifest| {
        let archives = &mut manifest["archives"];
        archives["float16"] = archives["float32"].take();
        archives
            .as_object_mut()
            .expect("it is an object")
            .remove("float32");
    });
    assert!(refusal(&bundle).contains("has no float32 archive, only float16"));
}

#[test]
fn auto_takes_bytes_where_the_bundle_has_them_and_the_cpu_multiplies_them() {
    let bundle = bundle_with(|manifest| {
        let archives = &mut manifest["archives"];
        archives["int8_float32"] = archives["float32"].clone();
    });
    let model = load(bundle.path()).expect("the archive is whole, whatever it is called");
    #[cfg(target_arch = "x86_64")]
    let multiplies_bytes = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let multiplies_bytes = false;
    let expected = if multiplies_bytes {
        ComputeType::Int8Float32
    } else {
        ComputeType::Float32
    };
    assert_eq!(model.compute_type(), expected);
}

#[test]
fn cuda_is_refused_with_a_reason_where_there_is_none() {
    match ParakeetModel::load(&bundle(), Device::Cuda, ComputeType::Float32) {
        Ok(model) => assert_eq!(model.device(), Device::Cuda),
        Err(why) => {
            let why = why.to_string();
            assert!(why.starts_with("device cuda is not available: "), "{why}");
        }
    }
}

#[test]
fn a_store_gives_one_model_for_all_ways_to_ask_for_it() {
    let limits = StoreLimits {
        max_bytes: u64::MAX,
        max_models: 1,
    };
    let store = ParakeetStore::new(limits);
    let load = |dir: &Path, compute_type| store.load(dir, Device::Cpu, compute_type);
    let model = load(&bundle(), ComputeType::Auto).expect("it is loaded");
    let roundabout = bundle().join("../parakeet-rnnt-tiny/.");
    for dir in [&bundle(), &roundabout] {
        let again = load(dir, ComputeType::Float32).expect("it is there");
        assert!(Arc::ptr_eq(&model, &again), "{}", dir.display());
    }
    let copy = bundle_with(|_| ());
    let refused = load(copy.path(), ComputeType::Auto).err();
    assert!(
        matches!(refused, Some(StoreError::Full { .. })),
        "it is in use"
    );
    drop(model);
    load(copy.path(), ComputeType::Auto).expect("the idle one makes room");
    let missing = load(Path::new("no/such/folder"), ComputeType::Auto).err();
    assert!(matches!(missing, Some(StoreError::Load(_))));
}
