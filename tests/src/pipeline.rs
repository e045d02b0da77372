//! Dalston's side of the pipeline for one engine, and the checks that hold when all tasks have ended.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::contract::Contract;
use crate::listener::{EventKind, Listener};
use crate::object_server::ObjectServer;
use crate::producer::{Producer, Task};
use crate::program::{new_folder, wait_until};
use crate::project;
use crate::redis_server::RedisServer;
use crate::referee::{Referee, Rules};
use crate::worker::{Worker, WorkerSettings};

/// Redis, store, producer and listener for one engine.
///
/// The engine is the scripted one (`tests/src/bin/scripted_engine.rs`) or the real one, under the same id.
/// The scripted engine answers with the content of the task's audio file, which is the id of the task. Tasks
/// for the real engine have recordings.
pub struct Pipeline {
    /// The contract that all sides use.
    pub contract: Contract,
    /// The Redis of this pipeline only.
    pub redis: RedisServer,
    /// The store, which all tests of a program share.
    pub store: Arc<ObjectServer>,
    /// Queues tasks.
    pub producer: Producer,
    /// Collects the events about them.
    pub listener: Listener,
    /// Dalston's own safety nets. The test fails if they would fail a task.
    pub referee: Referee,
    /// The folder for temporary files of workers, which killed workers leave behind.
    folder: TempDir,
}

/// The name of the engine under test.
pub const ENGINE_ID: &str = "scripted";

/// The lease of the workers, and the measure of the referee's times. It is short, because tests wait until
/// leases lapse.
const LEASE: Duration = Duration::from_secs(2);

impl Pipeline {
    /// Starts everything but a worker.
    pub fn start(contract: Contract) -> Self {
        let store = ObjectServer::shared();
        let redis = RedisServer::start();
        let producer = Producer::new(contract, ENGINE_ID, &redis, &store);
        let listener = Listener::start(contract, &redis);
        let rules = Rules::scaled_to(LEASE);
        let referee = Referee::start(rules, &producer, &redis, &store, &listener);
        Self {
            contract,
            redis,
            store,
            producer,
            listener,
            referee,
            folder: new_folder("pipeline"),
        }
    }

    /// Replaces the listener and the referee, which hears its events. What they have seen so far is forgotten.
    pub fn listen_anew(&mut self) {
        self.listener = Listener::start(self.contract, &self.redis);
        let rules = Rules::scaled_to(LEASE);
        self.referee = Referee::start(
            rules,
            &self.producer,
            &self.redis,
            &self.store,
            &self.listener,
        );
    }

    /// The settings of a worker for this pipeline.
    pub fn settings(&self, worker_id: &str) -> WorkerSettings {
        WorkerSettings {
            contract: self.contract,
            engine_id: ENGINE_ID.to_owned(),
            worker_id: worker_id.to_owned(),
            redis_url: self.redis.url(),
            s3_endpoint: self.store.endpoint(),
            lease: LEASE,
            more: vec![("TMPDIR", self.folder.path().display().to_string())],
        }
    }

    /// Makes tasks and stores their audio, but does not queue them.
    pub fn new_tasks(&self, n_tasks: usize) -> Vec<Task> {
        let tasks: Vec<_> = std::iter::repeat_with(Task::new).take(n_tasks).collect();
        self.store_audio(&tasks);
        tasks
    }

    /// Stores the audio of these tasks for the scripted engine: the id of each.
    pub fn store_audio(&self, tasks: &[Task]) {
        let audio = tasks.iter().map(|task| {
            (
                task.audio_key().to_owned(),
                task.task_id.clone().into_bytes(),
            )
        });
        self.store.put_all(audio.collect());
    }

    /// Makes and queues tasks, each changed by `change`.
    pub fn submit(&mut self, n_tasks: usize, change: impl Fn(Task) -> Task) -> Vec<Task> {
        let tasks: Vec<_> = self.new_tasks(n_tasks).into_iter().map(change).collect();
        self.producer.submit(&tasks);
        tasks
    }

    /// Makes and queues a task for each of these recordings, each task changed by `change`.
    pub fn submit_recordings(
        &mut self,
        recordings: &[PathBuf],
        mut change: impl FnMut(Task) -> Task,
    ) -> Vec<Task> {
        let tasks: Vec<_> = recordings.iter().map(|_| change(Task::new())).collect();
        for (task, recording) in tasks.iter().zip(recordings) {
            let audio = fs::read(recording).expect("the recordings are part of the repository");
            self.store.put(task.audio_key(), audio);
        }
        self.producer.submit(&tasks);
        tasks
    }

    /// Waits until these tasks have ended, then checks that each was completed exactly once, that the store
    /// has the scripted engine's output of each, and that the queue is empty.
    #[track_caller]
    pub fn check_completed(&mut self, tasks: &[Task], limit: Duration) {
        self.check_ended_once(tasks, limit);
        for task in tasks {
            self.check_output(task);
        }
    }

    /// As [`check_completed`](Self::check_completed), but for any engine: the caller checks the outputs.
    #[track_caller]
    pub fn check_ended_once(&mut self, tasks: &[Task], limit: Duration) {
        let all_ended = || {
            let ends = self.listener.ends();
            tasks.iter().all(|task| ends.contains_key(&task.task_id))
        };
        let ended = wait_until(limit, all_ended);
        let ends = self.listener.ends();
        let lost: Vec<_> = tasks
            .iter()
            .filter(|task| !ends.contains_key(&task.task_id))
            .collect();
        assert!(
            ended,
            "{} of {} tasks did not end in {limit:?}: {lost:?}",
            lost.len(),
            tasks.len()
        );

        // A second event about a task would come soon after the first one.
        thread::sleep(Duration::from_millis(300));
        let ends = self.listener.ends();
        for task in tasks {
            let ends = &ends[&task.task_id];
            assert!(
                ends.len() == 1 && ends[0].kind == EventKind::Completed,
                "{} ended with {ends:?}, expected one completion",
                task.task_id
            );
            assert_eq!(ends[0].body["job_id"], task.job_id.as_str());
            assert_eq!(ends[0].body["engine_id"], ENGINE_ID);
        }
        let left = self.producer.waiting_and_taken();
        assert_eq!(left, (0, 0), "tasks still waiting and taken in the queue");
    }

    /// The field `data` of the task's output, after a check that the output exists and names the task.
    #[track_caller]
    pub fn output(&self, task: &Task) -> Value {
        let key = task.output_key(self.contract);
        let content = self.store.get(&key);
        let content = content.unwrap_or_else(|| panic!("{key} is missing"));
        let mut output: Value = serde_json::from_slice(&content)
            .unwrap_or_else(|why| panic!("{key} is no JSON: {why}"));
        assert_eq!(output["task_id"], task.task_id.as_str(), "{key}");
        output["data"].take()
    }

    /// Checks that the task failed once, with one sentence that a user may read. `what` describes the task in
    /// the message of a failed check.
    #[track_caller]
    pub fn check_failed(&self, task: &Task, what: &dyn Debug) {
        let ends = &self.listener.ends()[&task.task_id];
        assert!(
            ends.len() == 1 && ends[0].kind == EventKind::Failed,
            "{what:?} ended with {ends:?}, expected one failure"
        );
        let error = ends[0].error();
        let is_sentence = (10..300).contains(&error.len()) && !error.contains('\n');
        assert!(is_sentence, "{what:?}: {error:?} is no sentence");
        let root = project().display().to_string();
        for secret in [
            RedisServer::PASSWORD,
            ObjectServer::SECRET_KEY,
            "/tmp/",
            &root,
        ] {
            assert!(!error.contains(secret), "{what:?}: {error:?} says {secret}");
        }
        let output = self.store.get(&task.output_key(self.contract));
        assert_eq!(output, None, "{what:?} left an output");
    }

    /// The time from `begun` to the end of each task.
    pub fn times(&self, tasks: &[Task], begun: Instant) -> Vec<Duration> {
        let ends = self.listener.ends();
        let at = |task: &Task| ends[&task.task_id][0].at;
        tasks
            .iter()
            .map(|task| at(task).saturating_duration_since(begun))
            .collect()
    }

    /// Checks that the output of the task is the scripted engine's.
    #[track_caller]
    fn check_output(&self, task: &Task) {
        let data = self.output(task);
        assert_eq!(data["text"], task.task_id.as_str());
        assert_eq!(data["segments"].as_array().map(Vec::len), Some(1), "{data}");
    }
}

impl Drop for Pipeline {
    /// Fails a test whose tasks Dalston would fail, unless the test is failing already or has taken the
    /// convictions.
    fn drop(&mut self) {
        if !thread::panicking() {
            self.referee.check();
        }
    }
}

/// Checks that the log of a worker shows no secret.
#[track_caller]
pub fn check_no_secrets(worker: &Worker) {
    let log = worker.program.log();
    for secret in [RedisServer::PASSWORD, ObjectServer::SECRET_KEY] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None, "a secret is in the worker's log");
    }
}

/// The value at this fraction of the sorted values: 0.5 for the median, 0.99 for p99.
pub fn quantile(values: &mut [Duration], fraction: f64) -> Duration {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_unstable();
    values[((values.len() - 1) as f64 * fraction).round() as usize]
}

/// Starts a worker with the scripted engine, whose program is `program`.
pub fn start_worker(program: &str, settings: &WorkerSettings) -> Worker {
    settings.start(Path::new(program), &[])
}
