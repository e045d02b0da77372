//! Bundles that the exporter writes while the tests run: one for every compute type and every head.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use parakeet_model::{ComputeType, Device, Error, ParakeetModel, set_threads};

use crate::tiny::project;

/// The compute types that the exporter offers for the tiny model.
pub(crate) const TYPES: [ComputeType; 5] = [
    ComputeType::Float32,
    ComputeType::Bfloat16,
    ComputeType::Float16,
    ComputeType::Int8,
    ComputeType::Int8Float32,
];

/// The tiny model in all of [`TYPES`].
static ALL_TYPES: LazyLock<PathBuf> = LazyLock::new(|| {
    let checkpoint = "models/parakeet-rnnt-tiny/parakeet-rnnt-tiny.nemo";
    let types = TYPES.map(ComputeType::name);
    export("all-types", &[checkpoint, "--dtype", &types.join(",")])
});

/// The tiny model in one compute type. If the CPU lacks the instructions for the type, this prints a line
/// that says so and returns `None`.
pub(crate) fn load_typed(compute_type: ComputeType) -> Option<ParakeetModel> {
    match load(&ALL_TYPES, compute_type) {
        Ok(model) => Some(model),
        Err(why @ Error::ComputeTypeUnsupported { .. }) => {
            println!("NOT TESTED HERE: {why}");
            None
        }
        Err(why) => panic!("{compute_type}: {why}"),
    }
}

/// A float32 model of random weights: it finds tokens in every sound, and no words.
pub(crate) fn load_random(head: &str) -> ParakeetModel {
    let arguments = ["--random-init", "tdt_ctc-tiny", "--head", head];
    load(&export(head, &arguments), ComputeType::Float32).expect("it was exported just now")
}

fn load(bundle: &Path, compute_type: ComputeType) -> Result<ParakeetModel, Error> {
    set_threads(NonZeroUsize::new(1));
    ParakeetModel::load(bundle, Device::Cpu, compute_type)
}

/// Exports a bundle, and returns the bundle's folder.
///
/// # Panics
///
/// If the exporter fails: a test that cannot run must not look as if it had passed.
fn export(name: &str, arguments: &[&str]) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut exporter = Command::new(project().join(".venv/bin/python"));
    exporter
        .current_dir(project())
        .env("PYTHONPATH", "xtask/python")
        .args(["-W", "ignore", "-m", "exporter.export"])
        .args(arguments)
        .arg("--out")
        .arg(&out);
    let output = exporter
        .output()
        .unwrap_or_else(|why| panic!("{exporter:?}: {why}; `cargo xtask setup` installs it"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{exporter:?}: {stderr}");
    out
}
