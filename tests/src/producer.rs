//! Queues tasks as Dalston's orchestrator does.
//!
//! Every key, field and value is copied from what Dalston's orchestrator writes:
//! `crates/dalston-engine-sdk/tests/data/dalston` has the recorded messages. The order of the writes matters:
//! the hash and the input of a task are written before its message, because a worker claims the task as soon
//! as the message is there.

mod counts;

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use redis::{Connection, Pipeline};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::contract::Contract;
use crate::object_server::ObjectServer;
use crate::redis_server::RedisServer;
pub(crate) use counts::Queued;

/// A transcription task.
#[derive(Clone, Debug)]
pub struct Task {
    /// The id, unique for each task.
    pub task_id: String,
    /// The id of the job, unique for each task as well.
    pub job_id: String,
    /// `transcribe`, or `transcribe_ch0` for the first of several channels.
    pub stage: String,
    /// The settings for the engine.
    pub config: Map<String, Value>,
    /// The S3 URI of the prepared audio.
    pub audio_uri: String,
}

impl Task {
    /// A task with Dalston's default settings. The caller must store its audio.
    pub fn new() -> Self {
        let job_id = Uuid::new_v4().to_string();
        let config = json!({"language": "auto", "beam_size": 5, "vad_filter": true});
        let Value::Object(config) = config else {
            unreachable!("a literal object")
        };
        Self {
            task_id: Uuid::new_v4().to_string(),
            audio_uri: format!(
                "s3://{}/jobs/{job_id}/audio/prepared.wav",
                ObjectServer::BUCKET
            ),
            job_id,
            stage: "transcribe".to_owned(),
            config,
        }
    }

    /// This task with one more setting.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// The key of the prepared audio in the store.
    pub fn audio_key(&self) -> &str {
        let bucket = format!("s3://{}/", ObjectServer::BUCKET);
        self.audio_uri
            .strip_prefix(&bucket)
            .expect("asked only of tasks with audio in our bucket")
    }

    /// The key of `input.json` or `request.json`.
    pub fn input_key(&self, contract: Contract) -> String {
        self.key(contract.files().0)
    }

    /// The key of `output.json` or `response.json`.
    pub fn output_key(&self, contract: Contract) -> String {
        self.key(contract.files().1)
    }

    fn key(&self, file: &str) -> String {
        format!("jobs/{}/tasks/{}/{file}", self.job_id, self.task_id)
    }

    /// The request that the orchestrator stores for the engine.
    pub fn input(&self, contract: Contract) -> Value {
        match contract {
            Contract::M22 | Contract::M22Typed => self.input_json(),
            Contract::Streams => self.request_json(),
        }
    }

    fn input_json(&self) -> Value {
        // In these contracts the request's own `audio_uri` is the raw upload, which the engine must not read.
        let upload = format!(
            "s3://{}/jobs/{}/audio/original.mp3",
            ObjectServer::BUCKET,
            self.job_id
        );
        let prepared = json!({
            "audio_uri": self.audio_uri,
            "channel_uris": null,
            "channel_files": null,
            "channel_count": null,
            "split_channels": false,
            "duration": 2.437937,
            "sample_rate": 16000,
            "channels": 1,
            "original_format": "mp3",
            "original_duration": 2.496,
            "original_sample_rate": 24000,
            "original_channels": 1,
            "speech_regions": null,
            "speech_ratio": null,
            "engine_id": "audio-prepare",
            "skipped": false,
            "skip_reason": null,
            "warnings": [],
        });
        json!({
            "task_id": self.task_id,
            "job_id": self.job_id,
            "audio_uri": upload,
            "previous_outputs": {"prepare": prepared},
            "config": self.config,
        })
    }

    fn request_json(&self) -> Value {
        let artifact = self.artifact_id();
        let reference = json!({
            "artifact_id": artifact,
            "kind": "audio",
            "storage_locator": self.audio_uri,
            "media_type": "audio/wav",
            "channel": 0,
            "role": "prepared",
            "producer_stage": "prepare",
        });
        json!({
            "task_id": self.task_id,
            "job_id": self.job_id,
            "request_bindings": bindings(),
            "resolved_artifact_ids": {"audio": artifact},
            "artifact_index": {artifact: reference},
            "previous_responses": {},
            "config": self.config,
        })
    }

    fn artifact_id(&self) -> String {
        format!("{}:prepared_audio", self.job_id)
    }
}

impl Default for Task {
    fn default() -> Self {
        Self::new()
    }
}

/// Queues tasks for one engine.
pub struct Producer {
    /// The contract of the messages.
    pub contract: Contract,
    /// The id of the engine.
    pub engine_id: String,
    /// The time limit in the messages of a stream, from `enqueued_at` to `timeout_at`.
    pub time_limit: TimeDelta,
    redis: Connection,
    store: Arc<ObjectServer>,
    queued: Queued,
}

impl Producer {
    /// Makes a producer for the queue of this engine.
    pub fn new(
        contract: Contract,
        engine_id: &str,
        redis: &RedisServer,
        store: &Arc<ObjectServer>,
    ) -> Self {
        Self {
            contract,
            engine_id: engine_id.to_owned(),
            time_limit: TimeDelta::hours(1),
            redis: redis.connect(),
            store: Arc::clone(store),
            queued: Queued::default(),
        }
    }

    /// Another producer for the same queue, with a connection of its own.
    pub fn another(&self, redis: &RedisServer) -> Self {
        Self {
            queued: self.queued(),
            time_limit: self.time_limit,
            ..Self::new(self.contract, &self.engine_id, redis, &self.store)
        }
    }

    /// How often this producer and its copies have queued each task.
    pub(crate) fn queued(&self) -> Queued {
        self.queued.clone()
    }

    /// Queues tasks in this order. Their audio must be in the store. Writes all hashes, then all inputs, then
    /// all messages.
    pub fn submit(&mut self, tasks: &[Task]) {
        let mut hashes = redis::pipe();
        for task in tasks {
            self.add_hash(&mut hashes, task);
        }
        self.run(&hashes);
        let inputs = tasks.iter().map(|task| {
            // Dalston indents by two.
            let json = serde_json::to_vec_pretty(&task.input(self.contract));
            (
                task.input_key(self.contract),
                json.expect("a value can be written"),
            )
        });
        self.store.put_all(inputs.collect());
        self.enqueue(tasks);
    }

    /// Writes only the messages, for tasks whose hash or input is broken on purpose.
    pub fn enqueue(&mut self, tasks: &[Task]) {
        let mut messages = redis::pipe();
        for task in tasks {
            // Before the message: the end of the task may come at once.
            self.queued.add(&task.task_id);
            match self.contract {
                Contract::M22 | Contract::M22Typed => {
                    messages.lpush(self.queue_key(), &task.task_id).ignore();
                }
                Contract::Streams => {
                    let now = Utc::now();
                    let fields = [
                        ("task_id", task.task_id.clone()),
                        ("job_id", task.job_id.clone()),
                        ("enqueued_at", timestamp(now)),
                        ("timeout_at", timestamp(now + self.time_limit)),
                    ];
                    messages.xadd(self.queue_key(), "*", &fields).ignore();
                }
            }
        }
        self.run(&messages);
    }

    /// Queues a failed task once more under the same id, as Dalston does when it reads this event.
    pub(crate) fn enqueue_again(&mut self, task_id: &str, event: &Value) {
        let job_id = event["job_id"].as_str().unwrap_or_default();
        let task = Task {
            task_id: task_id.to_owned(),
            job_id: job_id.to_owned(),
            ..Task::new()
        };
        self.enqueue(&[task]);
    }

    /// Writes only the hash of a task.
    pub fn write_hash(&mut self, task: &Task) {
        let mut hash = redis::pipe();
        self.add_hash(&mut hash, task);
        self.run(&hash);
    }

    /// The Redis key of the engine's list or stream.
    pub fn queue_key(&self) -> String {
        match self.contract {
            Contract::M22 | Contract::M22Typed => format!("dalston:queue:{}", self.engine_id),
            Contract::Streams => format!("dalston:stream:{}", self.engine_id),
        }
    }

    fn add_hash(&self, commands: &mut Pipeline, task: &Task) {
        let key = format!("dalston:task:{}", task.task_id);
        let mut fields = vec![
            ("job_id", task.job_id.clone()),
            ("stage", task.stage.clone()),
            ("engine_id", self.engine_id.clone()),
        ];
        if self.contract == Contract::Streams {
            let artifact_ids = json!({"audio": task.artifact_id()});
            fields.extend([
                ("queue_id", self.engine_id.clone()),
                ("execution_profile", "container".to_owned()),
                ("enqueued_at", timestamp(Utc::now())),
                ("request_bindings_json", bindings().to_string()),
                ("resolved_artifact_ids_json", artifact_ids.to_string()),
            ]);
        }
        commands
            .hset_multiple(&key, &fields)
            .ignore()
            .expire(&key, 86_400)
            .ignore();
    }

    fn run(&mut self, commands: &Pipeline) {
        commands
            .query::<()>(&mut self.redis)
            .expect("the server answers");
    }
}

/// The binding of the transcription stage's audio to the output of the stage before.
fn bindings() -> Value {
    let selector = json!({
        "producer_stage": "prepare",
        "kind": "audio",
        "role": "prepared",
        "required": true,
    });
    json!([{"slot": "audio", "selector": selector}])
}

/// A time in the format of Python's `datetime.now(timezone.utc).isoformat()`.
fn timestamp(time: chrono::DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

#[cfg(test)]
mod tests;
