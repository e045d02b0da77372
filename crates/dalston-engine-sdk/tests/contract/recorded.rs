//! The recorded messages in `tests/data/dalston`, as a worker would receive them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use dalston_engine_sdk::Capabilities;
use dalston_engine_sdk::contract::{
    AlignmentMethod, Contract, Identity, Protocol, Transcript, TranscriptSegment, TranscriptWord,
};
use dalston_engine_sdk::queue::Claim;
use serde_json::Value;

/// The text of one file.
pub(crate) fn text(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/dalston");
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

/// One file, parsed.
pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

/// A task of the M22 era: `typed.transcribe`.
pub(crate) fn m22_claim(task: &str) -> Claim {
    let hash = json(&format!("m22/{task}.redis_hash.json"));
    claim(&hash, BTreeMap::new())
}

/// A task of HEAD: `pc.transcribe_ch1`.
pub(crate) fn head_claim(task: &str) -> Claim {
    let hash = json(&format!("head/{task}.redis_task_hash.json"));
    let messages = json(&format!("head/{task}.stream_messages.json"));
    claim(&hash, fields(&messages[0]["fields"]))
}

fn claim(hash: &Value, message: BTreeMap<String, String>) -> Claim {
    let key = hash["key"].as_str().expect("a key");
    let task_id = key.strip_prefix("dalston:task:").expect("a task's key");
    Claim {
        task_id: task_id.to_owned(),
        message,
        metadata: fields(&hash["fields"]),
        ..Claim::default()
    }
}

fn fields(object: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(object.clone()).expect("text under every key")
}

/// The protocol of a worker of engine `engine_id` in `contract`.
pub(crate) fn protocol(contract: Contract, engine_id: &str) -> Protocol {
    Protocol {
        contract,
        identity: Identity {
            engine_id: engine_id.to_owned(),
            instance: format!("{engine_id}-1"),
            hostname: "vm".to_owned(),
            node_id: "vm".to_owned(),
            deploy_env: "local".to_owned(),
            capabilities: Capabilities::default(),
            registered_at: UNIX_EPOCH,
        },
    }
}

/// The transcript that a recorded `data` was written from, whatever its era.
pub(crate) fn transcript(data: &Value) -> Transcript {
    let segments = data["segments"].as_array().expect("segments");
    let method = data.get("alignment_method").cloned();
    Transcript {
        text: string(&data["text"]),
        segments: segments.iter().map(segment).collect(),
        language: string(&data["language"]),
        language_confidence: data.get("language_confidence").and_then(Value::as_f64),
        language_source: data
            .get("language_source")
            .and_then(|it| serde_json::from_value(it.clone()).expect("a source or null")),
        duration: data.get("duration").and_then(Value::as_f64),
        alignment_method: method.map_or(AlignmentMethod::Rnnt, |it| {
            serde_json::from_value(it).expect("a method of ours")
        }),
        confidence_method: None,
        warnings: Vec::new(),
    }
}

fn segment(segment: &Value) -> TranscriptSegment {
    let words = segment["words"].as_array().expect("words");
    TranscriptSegment {
        start: segment["start"].as_f64().expect("a time"),
        end: segment["end"].as_f64().expect("a time"),
        text: string(&segment["text"]),
        words: words.iter().map(word).collect(),
        confidence: segment.get("confidence").and_then(Value::as_f64),
    }
}

fn word(word: &Value) -> TranscriptWord {
    TranscriptWord {
        text: string(word.get("word").unwrap_or(&word["text"])),
        start: word["start"].as_f64().expect("a time"),
        end: word["end"].as_f64().expect("a time"),
        confidence: word["confidence"].as_f64(),
    }
}

fn string(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
