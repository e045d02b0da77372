//! The tiny model, and the recordings of its tests.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dalston_engine_sdk::audio::{self, AudioLimits};
use parakeet_model::{ComputeType, Device, ModelManifest, ParakeetModel, set_threads};
use rnnt_decode::{Hypothesis, SearchRules, Window, search};
use tch::CModule;

/// The tiny model in float32, loaded once per test program.
pub(crate) static MODEL: LazyLock<ParakeetModel> = LazyLock::new(|| {
    // Tests run at the same time, each on a thread of its own.
    set_threads(NonZeroUsize::new(1));
    ParakeetModel::load(&bundle(), Device::Cpu, ComputeType::Float32).expect("the bundle is whole")
});

/// The archive itself, for methods that only numeric tests call.
pub(crate) fn archive() -> CModule {
    // Loading a model registers the operators that the archive names.
    LazyLock::force(&MODEL);
    CModule::load(bundle().join("model.float32.pt")).expect("the bundle is whole")
}

/// The folder of the tiny model's bundle.
///
/// # Panics
///
/// If the bundle is missing: a test that cannot run must not look as if it had passed.
pub(crate) fn bundle() -> PathBuf {
    let dir = project().join("models/parakeet-rnnt-tiny");
    assert!(
        dir.join(ModelManifest::FILE).is_file(),
        "the tiny model's bundle is missing: `cargo xtask test` makes it (after `cargo xtask setup`)"
    );
    dir
}

/// The root of the repository.
pub(crate) fn project() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent);
    root.expect("the crate lies two folders below the root")
}

/// `n` recordings of the test set, 16 kHz mono, evenly spread over the set so that some are long.
pub(crate) fn recordings(n: usize) -> Vec<Vec<f32>> {
    let folder = project().join("tests/data/tiny-300");
    let entries = fs::read_dir(&folder).expect("the test set is part of the repository");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "flac")
    });
    paths.sort();
    let step = paths.len() / n;
    paths
        .iter()
        .step_by(step)
        .take(n)
        .map(|path| load(path))
        .collect()
}

/// The samples of one file.
pub(crate) fn load(path: &Path) -> Vec<f32> {
    let waveform = audio::load(path, &AudioLimits::default());
    waveform
        .unwrap_or_else(|why| panic!("{}: {why}", path.display()))
        .samples
}

/// The tiny model's hypotheses of a batch.
pub(crate) fn recognize(batch: &[&[f32]], window: Window) -> Vec<Hypothesis> {
    let mut utterances = MODEL.encode(batch).expect("the batch is encoded");
    let rules = SearchRules {
        window,
        ..SearchRules::default()
    };
    search(&mut utterances, &rules)
        .expect("the batch is searched")
        .hypotheses
}
