//! A task that is wrong in any way fails with one sentence, and does not delay other tasks.

use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, quantile, start_worker};
use e2e_tests::{Contract, EventKind, Task, isolation};
use serde_json::{Value, json};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(60);

/// One contract for each transport.
const CONTRACTS: [Contract; 2] = [Contract::M22, Contract::Streams];

#[test]
fn each_of_200_bad_tasks_fails_with_a_sentence_and_the_good_ones_between_them_do_not_wait() {
    let _guard = isolation::alone();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut settings = pipeline.settings("worker");
        settings.lease = Duration::from_secs(15);
        let mut worker = start_worker(ENGINE, &settings);
        let alone = pipeline.submit(300, |task| task);
        let begun = Instant::now();
        pipeline.check_completed(&alone, TIMEOUT);
        let mut alone_times = pipeline.times(&alone, begun);

        let mut good = Vec::new();
        let mut bad = Vec::new();
        let mut mixed = Vec::new();
        for (n, kind) in BAD.iter().cycle().take(200).enumerate() {
            let task = store_bad_task(&mut pipeline, kind);
            bad.push((kind, task.clone()));
            mixed.push(task);
            if n % 2 == 0 {
                let task = pipeline.new_tasks(1).remove(0);
                store_input(&mut pipeline, &task, task.input(contract));
                good.push(task.clone());
                mixed.push(task);
            }
        }
        let begun = Instant::now();
        pipeline.producer.enqueue(&mixed);
        pipeline
            .listener
            .wait_for_ends(alone.len() + mixed.len(), TIMEOUT);
        pipeline.check_completed(&good, TIMEOUT);
        for (kind, task) in &bad {
            pipeline.check_failed(task, kind);
        }
        assert_eq!(worker.program.ended(), None, "the worker has ended");
        check_no_secrets(&worker);

        let mut good_times = pipeline.times(&good, begun);
        let (p99, p99_alone) = (
            quantile(&mut good_times, 0.99),
            quantile(&mut alone_times, 0.99),
        );
        println!(
            "{}: 300 good tasks at once end within p99 {p99_alone:.2?}; 100 good among 200 bad ones \
             within p99 {p99:.2?}",
            contract.name()
        );
        assert!(
            p99 < p99_alone * 2 + Duration::from_secs(1),
            "{p99:?} against {p99_alone:?}"
        );
    }
}

#[test]
fn a_task_that_kills_its_worker_three_times_fails_and_the_next_one_runs() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut poison = pipeline.submit(1, |task| task.with("then", "abort"));
        let poison = poison.remove(0);
        let good = pipeline.submit(3, |task| task);
        let mut worker = start_worker(ENGINE, &pipeline.settings("worker"));
        let mut n_deaths = 0;
        let begun = Instant::now();
        while pipeline.listener.n_ended() < 4 && begun.elapsed() < TIMEOUT {
            if worker.program.ended().is_some() {
                n_deaths += 1;
                worker = start_worker(ENGINE, &pipeline.settings("worker"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        pipeline.check_completed(&good, TIMEOUT);
        let end = pipeline
            .listener
            .wait_for(EventKind::Failed, &poison.task_id, TIMEOUT);
        println!(
            "{}: {n_deaths} aborts, then: {}",
            contract.name(),
            end.error()
        );
        assert_eq!(n_deaths, 3);
        assert_eq!(pipeline.listener.ends()[&poison.task_id].len(), 1);
    }
}

/// The ways in which a task can be wrong.
const BAD: [Bad; 21] = [
    Bad::NoHash,
    Bad::NoInput,
    Bad::NoAudio,
    Bad::Input(""),
    Bad::Input("{"),
    Bad::Input("[]"),
    Bad::Input("null"),
    Bad::Input("{}"),
    Bad::Input("\u{0}\u{1}\u{2}"),
    Bad::DeepInput,
    Bad::Set("/config", "a string"),
    Bad::Set("/job_id", "another job"),
    Bad::AudioUri("s3://another-bucket/jobs/a/audio/prepared.wav"),
    Bad::AudioUri("s3://dalston-artifacts/jobs/../../secret.wav"),
    Bad::AudioUri("s3://dalston-artifacts/"),
    Bad::AudioUri("file:///etc/passwd"),
    Bad::AudioUri("http://127.0.0.1:1/audio.wav"),
    Bad::AudioUri("no URI at all"),
    Bad::Then("refuse"),
    Bad::Then("fail"),
    Bad::Then("panic"),
];

#[derive(Debug)]
enum Bad {
    NoHash,
    NoInput,
    NoAudio,
    Input(&'static str),
    DeepInput,
    /// A string in this place of the input.
    Set(&'static str, &'static str),
    AudioUri(&'static str),
    Then(&'static str),
}

/// Makes a bad task, and stores everything of it except for its message.
fn store_bad_task(pipeline: &mut Pipeline, kind: &Bad) -> Task {
    let contract = pipeline.contract;
    let mut task = Task::new();
    if !matches!(kind, Bad::NoAudio | Bad::AudioUri(_)) {
        pipeline.store_audio(std::slice::from_ref(&task));
    }
    match kind {
        Bad::NoHash | Bad::NoInput => {}
        Bad::AudioUri(uri) => task.audio_uri = (*uri).to_owned(),
        Bad::Then(what) => task = task.with("then", *what),
        _ => {}
    }
    let mut input = task.input(contract);
    match kind {
        Bad::NoHash => return task,
        Bad::NoInput => pipeline.producer.write_hash(&task),
        Bad::Input(text) => {
            pipeline.producer.write_hash(&task);
            pipeline
                .store
                .put(&task.input_key(contract), text.as_bytes());
        }
        Bad::DeepInput => {
            pipeline.producer.write_hash(&task);
            pipeline
                .store
                .put(&task.input_key(contract), vec![b'['; 1 << 20]);
        }
        Bad::Set(place, text) => {
            *input.pointer_mut(place).expect("every input has it") = json!(text);
            store_input(pipeline, &task, input);
        }
        _ => store_input(pipeline, &task, input),
    }
    task
}

fn store_input(pipeline: &mut Pipeline, task: &Task, input: Value) {
    pipeline.producer.write_hash(task);
    let key = task.input_key(pipeline.contract);
    pipeline.store.put(&key, input.to_string().into_bytes());
}
