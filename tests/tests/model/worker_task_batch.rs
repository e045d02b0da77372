//! Tasks that share encoder batches: each has its own words, its own settings and its own end.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use e2e_tests::parakeet;
use e2e_tests::pipeline::Pipeline;
use e2e_tests::{Contract, Worker, WorkerSettings, isolation};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(120);

const IN_FLIGHT: usize = 6;

fn settings(pipeline: &Pipeline) -> WorkerSettings {
    settings_of(pipeline, IN_FLIGHT)
}

fn settings_of(pipeline: &Pipeline, in_flight: usize) -> WorkerSettings {
    let mut settings = parakeet::settings(pipeline, "worker");
    let in_flight = ("DALSTON_BATCH_MAX_INFLIGHT", in_flight.to_string());
    settings.more.push(in_flight);
    settings
}

#[test]
fn tasks_that_share_batches_have_the_words_of_each_alone() {
    let _guard = isolation::shared();
    let recordings = parakeet::recordings((1..300).step_by(13));
    let transcribed = parakeet::transcribed(&recordings);
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        // The tasks are queued before the worker starts, so that it claims several at once.
        let tasks = pipeline.submit_recordings(&recordings, |task| task);
        let worker = parakeet::start(&settings(&pipeline));
        pipeline.check_ended_once(&tasks, TIMEOUT);
        for (task, expected) in tasks.iter().zip(&transcribed) {
            assert_eq!(pipeline.output(task)["text"], expected["text"]);
        }
        let n_batches = figure(&worker, "dalston_engine_batch_fill_ratio_count");
        assert!(
            n_batches < tasks.len() as f64 * 0.8,
            "{n_batches} batches for {} tasks of one chunk",
            tasks.len()
        );
        for step in ["audio_decode", "plan", "encode", "search", "words"] {
            let name = format!(
                "dalston_engine_step_seconds_total{{engine_id=\"scripted\",step=\"{step}\"}}"
            );
            assert!(figure(&worker, &name) > 0.0, "{step} took no time");
        }
        assert!(
            parakeet::logged(&worker, "transcription_complete")
                .iter()
                .all(|line| tasks.iter().any(|task| line["task_id"] == *task.task_id)),
            "every line of the engine's log names its task"
        );
    }
}

/// Every second task is of a client that wants short segments.
#[test]
fn tasks_with_other_segment_settings_share_batches_and_have_their_own_segments() {
    let _guard = isolation::shared();
    let recordings = parakeet::recordings((1..300).step_by(13));
    let transcribed = parakeet::transcribed(&recordings);
    let mut pipeline = Pipeline::start(Contract::Streams);
    let mut n = 0;
    let tasks = pipeline.submit_recordings(&recordings, |task| {
        n += 1;
        match n % 2 {
            0 => task.with("segment_length", 1.0),
            _ => task.with("max_segment_chars", 0),
        }
    });
    let worker = parakeet::start(&settings(&pipeline));
    pipeline.check_ended_once(&tasks, TIMEOUT);
    let segments = |data: &Value| data["segments"].as_array().map_or(0, Vec::len);
    let (mut n_whole, mut n_short) = (0, 0);
    for (number, (task, expected)) in tasks.iter().zip(&transcribed).enumerate() {
        let output = pipeline.output(task);
        assert_eq!(output["text"], expected["text"]);
        if number % 2 == 0 {
            assert_eq!(segments(&output), segments(expected));
            n_whole += segments(&output);
        } else {
            n_short += segments(&output);
        }
    }
    assert!(
        n_short > n_whole,
        "{n_short} short segments, {n_whole} whole ones"
    );
    let n_batches = figure(&worker, "dalston_engine_batch_fill_ratio_count");
    assert!(
        n_batches < tasks.len() as f64 * 0.8,
        "{n_batches} batches for {} tasks of one chunk",
        tasks.len()
    );
    let hits = figure(&worker, "dalston_engine_model_cache_hits_total");
    assert_eq!(
        hits,
        tasks.len() as f64,
        "the default model was loaded at the start"
    );
}

#[test]
fn a_task_of_other_settings_and_a_bad_one_change_nothing_for_the_others() {
    let _guard = isolation::shared();
    let good = parakeet::recordings([1, 12, 64, 75, 189, 294]);
    let transcribed = parakeet::transcribed(&good);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let broken = folder.path().join("broken.wav");
    fs::write(&broken, "no audio").expect("it can be written");

    let mut pipeline = Pipeline::start(Contract::M22);
    let plain = pipeline.submit_recordings(&good, |task| task);
    let short = pipeline.submit_recordings(&good, |task| {
        task.with("segment_length", 1.0).with("batch_size", 2)
    });
    let bad = pipeline.submit_recordings(&[broken], |task| task);
    let again = pipeline.submit_recordings(&good, |task| task);
    let _worker = parakeet::start(&settings(&pipeline));
    let fine = [plain.clone(), short.clone(), again.clone()].concat();
    pipeline
        .listener
        .wait_for_ends(fine.len() + bad.len(), TIMEOUT);
    pipeline.check_ended_once(&fine, TIMEOUT);
    pipeline.check_failed(&bad[0], &"a file that is not audio");
    for tasks in [&plain, &short, &again] {
        for (task, expected) in tasks.iter().zip(&transcribed) {
            assert_eq!(pipeline.output(task)["text"], expected["text"]);
        }
    }
    let n_segments = |tasks: &[e2e_tests::Task]| -> usize {
        let segments = tasks.iter().map(|task| pipeline.output(task));
        segments
            .map(|data| data["segments"].as_array().map_or(0, Vec::len))
            .sum()
    };
    assert!(n_segments(&short) > n_segments(&plain));
    assert_eq!(n_segments(&plain), n_segments(&again));
}

/// Twenty tasks of about five seconds. `E2E_TASKS=200` takes more, and `--nocapture` prints the times.
#[test]
fn many_tasks_at_a_time_say_what_one_at_a_time_says() {
    let _guard = isolation::shared();
    let n_tasks = env::var("E2E_TASKS").map_or(20, |it| it.parse().expect("a number"));
    let recordings = parakeet::recordings(1..=n_tasks);
    let [alone, together] = [1, 16].map(|in_flight| {
        let mut pipeline = Pipeline::start(Contract::M22);
        let worker = parakeet::start(&settings_of(&pipeline, in_flight));
        worker.wait_until_ready(TIMEOUT);
        let begun = Instant::now();
        let tasks = pipeline.submit_recordings(&recordings, |task| task);
        pipeline.check_ended_once(&tasks, 5 * TIMEOUT);
        let took = begun.elapsed().as_secs_f64();
        println!("{n_tasks} tasks, {in_flight} at a time: {took:.2} s");
        if in_flight > 1 {
            let n_batches = figure(&worker, "dalston_engine_batch_fill_ratio_count");
            assert!(n_batches < n_tasks as f64, "none shared a batch");
        }
        let outputs = tasks.iter().map(|task| pipeline.output(task));
        outputs.collect::<Vec<_>>()
    });
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(alone["text"], together["text"]);
        let (alone, together) = (words(alone), words(together));
        assert_eq!(alone.len(), together.len());
        assert!(!alone.is_empty(), "every recording has words");
        for (alone, together) in alone.into_iter().zip(together) {
            for name in ["word", "start", "end"] {
                assert!(!alone[name].is_null(), "{alone} has no {name}");
                assert_eq!(alone[name], together[name]);
            }
            let confidence = |word: &Value| word["confidence"].as_f64().expect("it has one");
            // Padding changes the rounding of float32 sums.
            assert!((confidence(alone) - confidence(together)).abs() <= 0.002);
        }
    }
}

/// The words of an output, one JSON object each.
fn words(output: &Value) -> Vec<&Value> {
    let segments = output["segments"].as_array().into_iter().flatten();
    let words = segments.filter_map(|segment| segment["words"].as_array());
    words.flatten().collect()
}

/// The value of a metric.
#[track_caller]
fn figure(worker: &Worker, name: &str) -> f64 {
    let (_, page) = worker.page("/metrics").expect("it answers");
    let line = page.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}
