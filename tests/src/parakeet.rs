//! `parakeet-worker` with the tiny model, as a worker of a pipeline and on the command line.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::pipeline::Pipeline;
use crate::project;
use crate::worker::{Worker, WorkerSettings};

/// The id of the tiny model, which is also the name of its folder.
pub const TINY: &str = "parakeet-rnnt-tiny";

/// The path of `parakeet-worker`, which cargo builds for these tests as `worker-under-test`.
pub fn program() -> PathBuf {
    let test = env::current_exe().expect("a process knows its program");
    let profile = test.ancestors().nth(2).expect("tests lie in deps");
    profile.join("worker-under-test")
}

/// The settings of a real worker for this pipeline: the tiny model on one thread of the CPU, or on a GPU if
/// `E2E_DEVICE=cuda`.
pub fn settings(pipeline: &Pipeline, worker_id: &str) -> WorkerSettings {
    let models = project().join("models").display().to_string();
    let device = env::var("E2E_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let mut settings = pipeline.settings(worker_id);
    settings.more.extend([
        ("DALSTON_MODEL_DIR", models),
        ("DALSTON_DEFAULT_MODEL", TINY.to_owned()),
        ("DALSTON_DEVICE", device),
        ("OMP_NUM_THREADS", "1".to_owned()),
    ]);
    settings
}

/// Starts a real worker.
pub fn start(settings: &WorkerSettings) -> Worker {
    settings.start(&program(), &["run"])
}

/// Starts a real worker and waits until it takes tasks.
#[track_caller]
pub fn start_ready(settings: &WorkerSettings) -> Worker {
    let worker = start(settings);
    worker.wait_until_ready(Duration::from_secs(60));
    worker
}

/// The lines of a worker's log with this event.
pub fn logged(worker: &Worker, event: &str) -> Vec<Value> {
    let log = worker.program.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["event"] == event)
        .collect()
}

/// Recordings of the test set, which is no part of the training data.
pub fn recordings(ids: impl IntoIterator<Item = usize>) -> Vec<PathBuf> {
    let folder = project().join("tests/data/tiny-300");
    ids.into_iter()
        .map(|id| folder.join(format!("{id:04}.flac")))
        .collect()
}

/// The output of `transcribe --format json` for each file with the tiny model, without the field `file`.
#[track_caller]
pub fn transcribed(files: &[PathBuf]) -> Vec<Value> {
    let output = Command::new(program())
        .args([
            "transcribe",
            "--format",
            "json",
            "--device",
            "cpu",
            "--batch-size",
            "1",
        ])
        .arg("--model")
        .arg(project().join("models").join(TINY))
        .args(files)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .expect("the program can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "transcribe ended with {}: {errors}",
        output.status
    );
    let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let objects = lines.lines().map(|line| {
        let mut object: Value = serde_json::from_str(line).expect("every line is JSON");
        object
            .as_object_mut()
            .expect("it is an object")
            .remove("file");
        object
    });
    let objects: Vec<_> = objects.collect();
    assert_eq!(objects.len(), files.len(), "a line for every file");
    objects
}

/// Writes two bundles into the folder `root`: the tiny model, and a copy with the id `second` and the language
/// `und`, which its transcripts show.
pub fn two_models(root: &Path, second: &str) {
    let tiny = project().join("models").join(TINY);
    for id in [TINY, second] {
        let folder = root.join(id);
        fs::create_dir(&folder).expect("the folder is ours");
        for name in ["model.float32.pt", "vocabulary.json", "manifest.json"] {
            fs::copy(tiny.join(name), folder.join(name)).expect("the tiny bundle is whole");
        }
    }
    let manifest = root.join(second).join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("it was copied");
    let mut object: Value = serde_json::from_str(&text).expect("it is JSON");
    object["model_id"] = second.into();
    object["language"] = "und".into();
    fs::write(&manifest, object.to_string()).expect("the folder is ours");
}
