//! The worker as a process: its start, its health, and its end.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e_tests::parakeet;
use e2e_tests::pipeline::{Pipeline, check_no_secrets};
use e2e_tests::{
    Contract, EventKind, Joint, LongRecording, Signal, Task, Worker, WorkerSettings, isolation,
    wait_until,
};

const TIMEOUT: Duration = Duration::from_secs(120);

const CONTRACTS: [Contract; 2] = [Contract::M22, Contract::Streams];

/// The exit code and the output of `parakeet-worker health` for the worker on this port.
fn health(port: u16) -> (Option<i32>, String) {
    let mut command = Command::new(parakeet::program());
    command
        .arg("health")
        .env("DALSTON_METRICS_PORT", port.to_string());
    let output = command.output().expect("the program can be started");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn health_is_0_while_a_worker_answers_and_1_when_it_is_gone() {
    let _guard = isolation::shared();
    let pipeline = Pipeline::start(Contract::M22);
    let mut worker = parakeet::start_ready(&parakeet::settings(&pipeline, "worker"));
    let (code, page) = health(worker.port);
    assert_eq!(code, Some(0), "{page}");
    assert!(page.contains(r#""status":"healthy""#), "{page}");
    worker.program.kill();
    let (code, page) = health(worker.port);
    assert_eq!(code, Some(1));
    assert!(
        page.starts_with("error: no worker answers on port "),
        "{page}"
    );
}

#[test]
fn an_idle_worker_ends_within_a_second_of_sigterm() {
    let _guard = isolation::alone();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = parakeet::start(&parakeet::settings(&pipeline, "worker"));
        let tasks = pipeline.submit_recordings(&parakeet::recordings([12]), |task| task);
        pipeline.check_ended_once(&tasks, TIMEOUT);
        let asked = Instant::now();
        worker.program.signal(Signal::TERM);
        let end = worker.program.wait(TIMEOUT);
        let time = asked.elapsed();
        println!("{}: idle, SIGTERM to exit {time:.2?}", contract.name());
        assert!(end.success(), "{end}");
        assert!(time < Duration::from_secs(1), "{time:?}");
        check_no_secrets(&worker);
    }
}

/// A recording of twelve minutes of speech, for which the tiny model needs some seconds.
fn long_recording(folder: &tempfile::TempDir) -> PathBuf {
    const SECONDS: f64 = 720.0;
    let speech = LongRecording::new(Joint::Pauses, SECONDS);
    let path = folder.path().join("long.wav");
    let written = speech.write(0..speech.samples.len(), &path);
    written.expect("the folder is ours");
    path
}

/// Starts a worker with this grace period, and waits until it has begun a long task in batches of this size.
fn in_flight(pipeline: &mut Pipeline, grace: &str, batch_size: u8) -> (Worker, Task) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut settings = parakeet::settings(pipeline, "worker");
    settings.more.push(("DALSTON_GRACE_S", grace.to_owned()));
    let worker = parakeet::start_ready(&settings);
    let with_batches = |task: Task| task.with("batch_size", batch_size);
    let recording = long_recording(&folder);
    let task = pipeline
        .submit_recordings(&[recording], with_batches)
        .remove(0);
    let begun = || !parakeet::logged(&worker, "transcribing").is_empty();
    assert!(wait_until(TIMEOUT, begun), "the task was not begun");
    (worker, task)
}

#[test]
fn a_task_at_work_is_finished_before_the_end() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let (mut worker, task) = in_flight(&mut pipeline, "100", 1);
        worker.program.signal(Signal::TERM);
        assert!(
            pipeline.listener.ends().is_empty(),
            "the task ended before the signal"
        );
        let end = worker.program.wait(TIMEOUT);
        assert!(end.success(), "{end}");
        pipeline.check_ended_once(std::slice::from_ref(&task), TIMEOUT);
    }
}

#[test]
fn a_task_that_outlasts_the_grace_period_goes_back_and_the_end_is_in_order() {
    let _guard = isolation::alone();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let (mut worker, task) = in_flight(&mut pipeline, "0", 32);
        // The signal is to come while the network runs. The test runs alone, so that the worker has decoded
        // the audio by then.
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        worker.program.signal(Signal::TERM);
        let put_back = || !parakeet::logged(&worker, "task_put_back").is_empty();
        assert!(
            wait_until(Duration::from_secs(5), put_back),
            "the task is kept"
        );
        // The network cannot stop within a batch, and this batch is the whole recording. If the process ended
        // before the batch, the running thread would crash.
        let end = worker.program.wait(TIMEOUT);
        let time = asked.elapsed();
        println!(
            "{}: within a batch and without grace, SIGTERM to exit {time:.2?}",
            contract.name()
        );
        assert!(end.success(), "{end}");
        assert!(!pipeline.listener.ends().contains_key(&task.task_id));

        // The return did not count as a delivery, so the next worker does the task although the limit is one.
        let mut settings = parakeet::settings(&pipeline, "next");
        settings
            .more
            .push(("DALSTON_MAX_DELIVERIES", "1".to_owned()));
        let _next = parakeet::start(&settings);
        pipeline
            .listener
            .wait_for(EventKind::Completed, &task.task_id, TIMEOUT);
    }
}

#[test]
fn a_task_past_its_time_limit_stops_between_batches() {
    let _guard = isolation::alone();
    let mut pipeline = Pipeline::start(Contract::Streams);
    pipeline.producer.time_limit = chrono::TimeDelta::seconds(1);
    let (worker, task) = in_flight(&mut pipeline, "60", 1);
    let end = pipeline
        .listener
        .wait_for(EventKind::Failed, &task.task_id, TIMEOUT);
    assert_eq!(end.error(), "the task ran out of time");
    assert!(parakeet::logged(&worker, "transcription_complete").is_empty());
}

/// Starts a worker with bad settings, and returns the last line of its log.
#[track_caller]
fn refused(settings: &WorkerSettings) -> String {
    let mut worker = parakeet::start(settings);
    let end = worker.program.wait(TIMEOUT);
    assert_eq!(end.code(), Some(1));
    check_no_secrets(&worker);
    let log = worker.program.log();
    let last = log.lines().last().unwrap_or_default();
    last.to_owned()
}

#[test]
fn a_worker_that_cannot_work_says_why_and_ends_with_1() {
    let _guard = isolation::shared();
    let pipeline = Pipeline::start(Contract::M22);
    let with = |name: &'static str, value: &str| {
        let mut settings = parakeet::settings(&pipeline, "worker");
        settings.more.push((name, value.to_owned()));
        refused(&settings)
    };
    let no_model = with("DALSTON_DEFAULT_MODEL", "nvidia/parakeet-rnnt-1.1b");
    assert!(
        no_model
            .starts_with("error: the engine cannot be loaded: the default model is not there; ")
            && no_model.contains("`cargo xtask export-model nvidia/parakeet-rnnt-1.1b"),
        "{no_model}"
    );
    assert_eq!(
        with("DALSTON_DEVICE", "mps"),
        r#"error: DALSTON_DEVICE is "mps", expected one of auto, cpu, cuda"#
    );
    let taken = std::net::TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let no_port = with("DALSTON_METRICS_PORT", &port.to_string());
    assert!(
        no_port.starts_with(&format!(
            "error: cannot serve health pages on port {port}; "
        )),
        "{no_port}"
    );
    if !std::path::Path::new("/proc/driver/nvidia").exists() {
        let no_gpu = with("DALSTON_DEVICE", "cuda");
        assert!(
            no_gpu.starts_with(
                "error: the engine cannot be loaded: DALSTON_DEVICE is cuda, and no GPU can be \
                 used; auto or cpu runs without one: device cuda is not available: "
            ),
            "{no_gpu}"
        );
    }
}

#[test]
fn without_a_gpu_auto_warns_and_takes_the_cpu() {
    let _guard = isolation::shared();
    if std::path::Path::new("/proc/driver/nvidia").exists() {
        return;
    }
    let pipeline = Pipeline::start(Contract::M22);
    let mut settings = parakeet::settings(&pipeline, "worker");
    settings.more.push(("DALSTON_DEVICE", "auto".to_owned()));
    let worker = parakeet::start_ready(&settings);
    assert_eq!(parakeet::logged(&worker, "cuda_unavailable").len(), 1);
}
