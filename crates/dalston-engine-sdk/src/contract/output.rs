//! Writes a task's result, and refuses a transcript that the contract's schema does not allow.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::m22::M22Transcript;
use super::m22_typed::TranscribeOutput;
use super::request::Request;
use super::streams::StreamsTranscript;
use super::version::Contract;
use crate::engine::TaskResult;
use crate::error::TaskError;
use crate::timestamp;

/// `output.json`, and with its last two fields `response.json`.
#[derive(Serialize)]
struct Document<'a, T> {
    task_id: &'a str,
    completed_at: String,
    processing_time_seconds: f64,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    produced_artifacts: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    produced_artifact_ids: Option<[(); 0]>,
}

/// Writes one task's result.
pub(super) struct OutputWriter<'a> {
    pub(super) contract: Contract,
    pub(super) engine_id: &'a str,
    pub(super) task_id: &'a str,
    pub(super) request: &'a Request,
    pub(super) processing_time: Duration,
}

impl OutputWriter<'_> {
    /// Writes the document as the contract wants it: UTF-8, indented by two, keys in the recorded order.
    pub(super) fn write(&self, result: &TaskResult) -> Result<Vec<u8>, TaskError> {
        let transcript = match result {
            // No schema of another stage's result was recorded, so it is written unchecked.
            TaskResult::Data(data) => return self.write_document(data),
            TaskResult::Transcript(transcript) => transcript,
        };
        match self.contract {
            Contract::M22 => self.write_checked(M22Transcript::from(transcript)),
            Contract::M22Typed => {
                self.write_checked(TranscribeOutput::new(transcript, self.engine_id))
            }
            Contract::Streams => {
                let channel = channel(self.request);
                self.write_checked(StreamsTranscript::new(transcript, self.engine_id, channel))
            }
        }
    }

    fn write_checked(&self, data: impl Serialize) -> Result<Vec<u8>, TaskError> {
        let value = serde_json::to_value(&data).map_err(not_json)?;
        if let Err(err) = self.contract.terms().validator.validate(&value) {
            let place = err.instance_path().to_string();
            // Masked: a transcript is the user's, and errors go into logs.
            let message = format!(
                "the result is not what contract {} allows at {place:?}",
                self.contract
            );
            return Err(TaskError::engine(message).caused_by(err.masked().to_string()));
        }
        // `data` and not `value`: a `Value` sorts its keys, and the recorded order is another.
        self.write_document(data)
    }

    fn write_document(&self, data: impl Serialize) -> Result<Vec<u8>, TaskError> {
        let lists_files = self.contract.terms().lists_files;
        let document = Document {
            task_id: self.task_id,
            completed_at: timestamp::format(SystemTime::now()),
            processing_time_seconds: (self.processing_time.as_secs_f64() * 100.0).round() / 100.0,
            data,
            produced_artifacts: lists_files.then_some([]),
            produced_artifact_ids: lists_files.then_some([]),
        };
        serde_json::to_vec_pretty(&document).map_err(not_json)
    }
}

fn not_json(err: serde_json::Error) -> TaskError {
    TaskError::engine("the result cannot be written as JSON").caused_by(err)
}

/// The channel that the task is about, if the pipeline made one task for each channel.
fn channel(request: &Request) -> Option<u32> {
    request.config.get("channel")?.as_u64()?.try_into().ok()
}
