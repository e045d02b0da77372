//! A store that answers and refuses, and a disk without room: what is computed is kept, and other tasks go on.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Contract, Fault, FaultProxy, Task, Worker, WorkerSettings, isolation, wait_until};
use tempfile::TempDir;

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(90);

const FULL: &[u8] =
    b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A number from the environment, for a run that takes longer than CI has time for.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |it| it.parse().expect("a whole number"))
}

/// How often the worker has begun to compute a task.
fn n_computed(worker: &Worker, task: &Task) -> usize {
    let log = worker.program.log();
    let lines = log.lines().filter(|it| it.contains("\"task_processing\""));
    lines.filter(|it| it.contains(&task.task_id)).count()
}

#[test]
fn a_result_that_the_store_refuses_for_a_while_is_computed_once() {
    let _guard = isolation::shared();
    let n_tasks = number("E2E_REFUSED_TASKS", 6) as usize;
    let refused = Duration::from_secs(number("E2E_REFUSED_S", 4));
    thread::scope(|scope| {
        for contract in [Contract::M22, Contract::Streams] {
            scope.spawn(move || {
                let mut pipeline = Pipeline::start(contract);
                let store = FaultProxy::start(&pipeline.store.address());
                let settings = WorkerSettings {
                    s3_endpoint: format!("http://{}", store.address()),
                    ..pipeline.settings("worker")
                };
                let worker = start_worker(ENGINE, &settings);
                worker.wait_until_ready(TIMEOUT);
                store.set(Fault::AnswerTo("PUT /", FULL));
                let tasks = pipeline.submit(n_tasks, |task| task.with("work_ms", 20));
                let is_refused = || worker.program.log().contains("output_not_uploaded");
                assert!(wait_until(TIMEOUT, is_refused), "no PUT was refused");
                thread::sleep(refused);
                store.set(Fault::None);
                pipeline.check_completed(&tasks, TIMEOUT);
                for task in &tasks {
                    assert_eq!(n_computed(&worker, task), 1, "{}", worker.program.log());
                }
                println!(
                    "{}: {n_tasks} tasks, PUT refused for {refused:.1?}, each computed once",
                    contract.name()
                );
            });
        }
    });
}

/// The answers of a store to requests for one object.
const ANSWERS: [&[u8]; 3] = [
    FULL,
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
];

#[test]
fn an_object_that_the_store_never_serves_fails_its_task_alone() {
    let _guard = isolation::shared();
    thread::scope(|scope| {
        for contract in [Contract::M22, Contract::Streams] {
            scope.spawn(move || ANSWERS.map(|answer| never_served(contract, answer)));
        }
    });
}

fn never_served(contract: Contract, answer: &'static [u8]) {
    let mut pipeline = Pipeline::start(contract);
    let store = FaultProxy::start(&pipeline.store.address());
    let mut settings = WorkerSettings {
        s3_endpoint: format!("http://{}", store.address()),
        ..pipeline.settings("worker")
    };
    settings.more.push(("DALSTON_DEFERRAL_S", "3".to_owned()));
    let worker = start_worker(ENGINE, &settings);
    worker.wait_until_ready(TIMEOUT);
    let bad = pipeline.new_tasks(1);
    store.set(Fault::AnswerTo(
        bad[0].audio_key().to_owned().leak(),
        answer,
    ));
    pipeline.producer.submit(&bad);
    let good = pipeline.submit(6, |task| task);
    pipeline.listener.wait_for_ends(7, TIMEOUT);
    let what = String::from_utf8_lossy(&answer[..12]);
    pipeline.check_failed(&bad[0], &what);
    let error = pipeline.listener.ends()[&bad[0].task_id][0]
        .error()
        .to_owned();
    assert!(
        error.contains("the store does not serve the object"),
        "{error}"
    );
    pipeline.check_completed(&good, TIMEOUT);
    let log = || worker.program.log();
    let logged = wait_until(TIMEOUT, || log().contains(&answer_status(answer)));
    assert!(logged, "no cause in the log: {}", log());
}

fn answer_status(answer: &[u8]) -> String {
    let line = String::from_utf8_lossy(answer);
    line.split(' ').nth(1).expect("a status line").to_owned()
}

#[test]
fn an_outage_of_the_whole_store_fails_no_task_however_long_it_lasts() {
    let _guard = isolation::shared();
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let store = FaultProxy::start(&pipeline.store.address());
        let mut settings = WorkerSettings {
            s3_endpoint: format!("http://{}", store.address()),
            ..pipeline.settings("worker")
        };
        settings.more.push(("DALSTON_DEFERRAL_S", "1".to_owned()));
        let worker = start_worker(ENGINE, &settings);
        worker.wait_until_ready(TIMEOUT);
        store.set(Fault::Answer(ANSWERS[1]));
        let tasks = pipeline.submit(4, |task| task);
        thread::sleep(Duration::from_secs(6));
        store.set(Fault::None);
        pipeline.check_completed(&tasks, TIMEOUT);
    }
}

/// A small disk in memory, mounted until the value is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` if this user may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path());
        let mounted = mount.status().is_ok_and(|it| it.success());
        mounted.then_some(Self { folder })
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-o", &options]).arg(self.path());
        assert!(mount.status().is_ok_and(|it| it.success()));
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_recording_larger_than_the_disk_waits_and_the_others_go_on() {
    let _guard = isolation::shared();
    let Some(disk) = SmallDisk::mount("1m") else {
        let message = "SKIPPED: only root can mount the small disk of this test";
        assert!(
            std::env::var_os("CI").is_none_or(|it| it != "true"),
            "{message}"
        );
        println!("{message}");
        return;
    };
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let mut settings = pipeline.settings("worker");
        settings
            .more
            .push(("TMPDIR", disk.path().display().to_string()));
        let worker = start_worker(ENGINE, &settings);
        worker.wait_until_ready(TIMEOUT);
        let large = pipeline.new_tasks(1);
        pipeline
            .store
            .put(large[0].audio_key(), vec![b'a'; 3 << 20]);
        pipeline.producer.submit(&large);
        let page = || worker.page("/health").unwrap_or_default().1;
        let shown = wait_until(TIMEOUT, || page().contains(r#""disk":"unavailable""#));
        assert!(shown, "{}: {}", page(), worker.program.log());
        let log = || worker.program.log();
        let logged = wait_until(TIMEOUT, || log().contains("and the worker's disk has"));
        assert!(logged, "{}", log());
        assert!(page().contains(r#""store":"connected""#), "{}", page());

        let others = pipeline.submit(6, |task| task);
        pipeline.listener.wait_for_ends(others.len(), TIMEOUT);
        disk.resize("16m");
        let all = [&large[..], &others[..]].concat();
        pipeline.check_ended_once(&all, TIMEOUT);
        disk.resize("1m");
        for task in &others {
            assert_eq!(pipeline.output(task)["text"], task.task_id.as_str());
        }
    }
}
