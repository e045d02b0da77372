//! Writes a task's result, and lets nothing out that the pipeline would refuse.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jsonschema::Validator;
use schemars::{Schema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::Value;

use super::m22::M22Transcript;
use super::m22_typed::TranscribeOutput;
use super::streams::StreamsTranscript;
use super::{Contract, Dalston, timestamp};
use crate::engine::{TaskOutput, TaskResult};
use crate::error::TaskError;
use crate::queue::Claim;
use crate::runner::Request;

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

/// Writes the document as the contract wants it: UTF-8, indented by two, keys in the recorded order.
pub(super) fn write(
    dalston: &Dalston,
    claim: &Claim,
    request: &Request,
    output: &TaskOutput,
    processing_time: Duration,
) -> Result<Vec<u8>, TaskError> {
    let writer = Writer {
        contract: dalston.contract,
        task_id: &claim.task_id,
        processing_time,
    };
    let transcript = match &output.result {
        TaskResult::Data(data) => return writer.write(data),
        TaskResult::Transcript(transcript) => transcript,
    };
    let engine_id = &dalston.identity.engine_id;
    match dalston.contract {
        Contract::M22 => writer.write_checked(&M22, M22Transcript::from(transcript)),
        Contract::M22Typed => {
            writer.write_checked(&M22_TYPED, TranscribeOutput::new(transcript, engine_id))
        }
        Contract::Streams => {
            let data = StreamsTranscript::new(transcript, engine_id, channel(request));
            writer.write_checked(&STREAMS, data)
        }
    }
}

struct Writer<'a> {
    contract: Contract,
    task_id: &'a str,
    processing_time: Duration,
}

impl Writer<'_> {
    fn write_checked(
        &self,
        schema: &Validator,
        data: impl Serialize,
    ) -> Result<Vec<u8>, TaskError> {
        let value = serde_json::to_value(&data).map_err(not_json)?;
        if let Err(err) = schema.validate(&value) {
            let place = err.instance_path().to_string();
            // Masked: a transcript is the user's, and errors go into logs.
            let message = format!(
                "the result is not what contract {} allows at {place:?}",
                self.contract
            );
            return Err(TaskError::engine(message).caused_by(err.masked().to_string()));
        }
        self.write(data)
    }

    fn write(&self, data: impl Serialize) -> Result<Vec<u8>, TaskError> {
        let produces_files = self.contract == Contract::Streams;
        let document = Document {
            task_id: self.task_id,
            completed_at: timestamp::format(SystemTime::now()),
            processing_time_seconds: (self.processing_time.as_secs_f64() * 100.0).round() / 100.0,
            data,
            produced_artifacts: produces_files.then_some([]),
            produced_artifact_ids: produces_files.then_some([]),
        };
        serde_json::to_vec_pretty(&document).map_err(not_json)
    }
}

fn not_json(err: serde_json::Error) -> TaskError {
    TaskError::engine("the result cannot be written as JSON").caused_by(err)
}

/// The channel of a task that stands for one of several.
fn channel(request: &Request) -> Option<u32> {
    request.config.get("channel")?.as_u64()?.try_into().ok()
}

static M22: LazyLock<Validator> = LazyLock::new(|| validator(m22_schema().to_value()));
static M22_TYPED: LazyLock<Validator> =
    LazyLock::new(|| recorded(include_str!("schemas/m22_typed.json")));
static STREAMS: LazyLock<Validator> =
    LazyLock::new(|| recorded(include_str!("schemas/streams.json")));

/// The schema of [`M22Transcript`]; nothing was recorded of a shape that is the plan's alone.
pub(super) fn m22_schema() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        // A manifest holds it as a part: references to its root would lead elsewhere.
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<M22Transcript<'static>>()
}

fn recorded(schema: &str) -> Validator {
    validator(serde_json::from_str(schema).expect("the schema is a part of the program"))
}

fn validator(schema: Value) -> Validator {
    jsonschema::validator_for(&schema).expect("tests compile every schema")
}
