//! A task names its model, and each model is loaded once.

use std::time::Duration;

use e2e_tests::parakeet::{self, TINY};
use e2e_tests::pipeline::Pipeline;
use e2e_tests::{Contract, EventKind, Task, isolation};

const TIMEOUT: Duration = Duration::from_secs(120);

/// The id of the second model, whose transcripts have the language `und`.
const SECOND: &str = "someone-else";

/// The limit of the worker's memory. The two models have 17 MiB together; libtorch takes the rest.
const MEMORY_CAP_BYTES: usize = 1 << 30;

#[test]
fn forty_tasks_that_alternate_between_two_models_load_each_once() {
    let _guard = isolation::shared();
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    parakeet::two_models(root.path(), SECOND);
    let mut pipeline = Pipeline::start(Contract::Streams);
    let mut settings = parakeet::settings(&pipeline, "worker");
    settings
        .more
        .push(("DALSTON_MODEL_DIR", root.path().display().to_string()));
    let worker = parakeet::start_ready(&settings);

    let recordings: Vec<_> = parakeet::recordings([12])
        .into_iter()
        .cycle()
        .take(40)
        .collect();
    let mut turn = 0..;
    let tasks = pipeline.submit_recordings(&recordings, |task| {
        let model = [TINY, SECOND][turn.next().unwrap_or(0) % 2];
        task.with("loaded_model_id", model)
    });
    pipeline.check_ended_once(&tasks, TIMEOUT);
    for (task, language) in tasks.iter().zip(["en", "und"].into_iter().cycle()) {
        assert_eq!(
            pipeline.output(task)["language"],
            language,
            "the other model's words"
        );
    }
    let loads = parakeet::logged(&worker, "model_loaded_successfully");
    assert_eq!(loads.len(), 2, "{loads:?}");
    let memory = worker.program.usage().resident_bytes;
    println!("two tiny models, 40 tasks: {} MiB resident", memory >> 20);
    assert!(memory < MEMORY_CAP_BYTES, "{memory} bytes");
}

#[test]
fn a_model_is_the_default_of_a_foreign_name_and_refused_where_a_bundle_is_missing() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::M22);
    let _worker = parakeet::start(&parakeet::settings(&pipeline, "worker"));
    let recordings = parakeet::recordings([12]);
    let foreign = pipeline.submit_recordings(&recordings, |task| task.with("model", "large-v3"));
    pipeline.check_ended_once(&foreign, TIMEOUT);
    let warning = format!("Model 'large-v3' is of another engine; {TINY} was used");
    assert_eq!(
        pipeline.output(&foreign[0])["warnings"][0],
        warning.as_str()
    );

    for (key, value, sentence) in [
        (
            "model",
            "parakeet-1.1b",
            "there is no bundle of model nvidia/parakeet-rnnt-1.1b here; `cargo xtask export-model \
             nvidia/parakeet-rnnt-1.1b` makes it",
        ),
        (
            "compute_type",
            "float16",
            "the bundle of parakeet-rnnt-tiny has no float16 archive, only float32; `cargo xtask \
             export-model parakeet-rnnt-tiny --dtype float32,float16` writes it and those anew",
        ),
    ] {
        let with = |task: Task| task.with(key, value);
        let tasks = pipeline.submit_recordings(&recordings, with);
        let end = pipeline
            .listener
            .wait_for(EventKind::Failed, &tasks[0].task_id, TIMEOUT);
        assert_eq!(end.error(), sentence);
    }
}
