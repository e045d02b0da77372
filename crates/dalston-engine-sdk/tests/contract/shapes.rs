//! Compares the shape of `data` with that of faster-whisper, key by key and type by type, and checks the
//! recorded schemas against what Dalston accepted and refused.

use std::collections::BTreeSet;
use std::time::Duration;

use dalston_engine_sdk::contract::{
    AlignmentMethod, Contract, LanguageSource, Request, Transcript, TranscriptSegment,
    TranscriptWord,
};
use dalston_engine_sdk::{TaskOutput, TaskResult};
use serde_json::{Value, json};

use super::recorded;

/// A transcript with every field set.
fn everything() -> Transcript {
    let word = TranscriptWord {
        text: "hello".into(),
        start: 0.08,
        end: 0.4,
        confidence: Some(0.9),
    };
    Transcript {
        text: "hello".into(),
        segments: vec![TranscriptSegment {
            start: 0.08,
            end: 0.4,
            text: "hello".into(),
            words: vec![word],
            confidence: Some(0.9),
        }],
        language: "en".into(),
        language_confidence: Some(0.5),
        language_source: Some(LanguageSource::Requested),
        duration: Some(0.5),
        alignment_method: AlignmentMethod::Rnnt,
        confidence_method: None,
        warnings: Vec::new(),
    }
}

fn ours(contract: Contract) -> Value {
    let claim = recorded::m22_claim("typed.transcribe");
    let output = TaskOutput {
        result: TaskResult::Transcript(everything()),
        ..TaskOutput::default()
    };
    let protocol = recorded::protocol(contract, "speech");
    let bytes = protocol
        .write_output(&claim, &Request::default(), &output, Duration::ZERO)
        .unwrap_or_else(|err| panic!("{}", err.chain()));
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    document["data"].clone()
}

/// Collects every path in a document with the type of its value: `segments[].start number`.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    into.insert(format!("{path} {kind}"));
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|it| shape(it, &format!("{path}[]"), into)),
        Value::Object(map) => map
            .iter()
            .for_each(|(key, it)| shape(it, &format!("{path}.{key}"), into)),
        _ => {}
    }
}

/// Checks that both documents have one shape, apart from the listed differences: `-` only theirs, `+` only
/// ours.
#[track_caller]
fn check(contract: Contract, theirs: &str, differences: &[&str]) {
    let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
    shape(&recorded::json(theirs), "data", &mut left);
    shape(&ours(contract), "data", &mut right);
    let lost = left.difference(&right).map(|it| format!("- {it}"));
    let added = right.difference(&left).map(|it| format!("+ {it}"));
    let found: BTreeSet<_> = lost.chain(added).collect();
    let expected: BTreeSet<_> = differences.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(found, expected);
}

#[test]
fn m22_has_the_shape_of_faster_whisper_and_the_plans_flag() {
    check(
        Contract::M22,
        "m22/e13c9886.faster-whisper.data.json",
        &[
            "- data.language_confidence number",
            "+ data.native_word_timestamps bool",
        ],
    );
}

#[test]
fn m22_typed_has_the_shape_of_faster_whisper() {
    check(
        Contract::M22Typed,
        "m22/4543d4f1.faster-whisper.data.json",
        &[
            // The SDK also writes the method once for all words.
            "- data.alignment_method null",
            "+ data.alignment_method string",
            "- data.segments[].confidence null",
            "+ data.segments[].confidence number",
        ],
    );
}

#[test]
fn streams_has_the_shape_of_faster_whisper() {
    check(
        Contract::Streams,
        "head/faster-whisper.data.json",
        &[
            "- data.segments[].confidence null",
            "+ data.segments[].confidence number",
            "+ data.segments[].metadata.confidence number",
            // Only faster-whisper has these internals.
            "- data.segments[].metadata.avg_logprob number",
            "- data.segments[].metadata.compression_ratio number",
            "- data.segments[].metadata.no_speech_prob number",
            "- data.segments[].metadata.temperature number",
            "- data.segments[].metadata.tokens array",
            "- data.segments[].metadata.tokens[] number",
        ],
    );
}

#[track_caller]
fn is_allowed(schema: &str, data: &Value) -> bool {
    let schema = serde_json::from_str(schema).expect("a schema");
    jsonschema::validator_for(&schema)
        .expect("a schema")
        .is_valid(data)
}

const M22_TYPED: &str = include_str!("../../src/contract/schemas/m22_typed.json");
const STREAMS: &str = include_str!("../../src/contract/schemas/streams.json");

#[test]
fn the_recorded_schemas_accept_what_dalston_wrote() {
    for name in [
        "m22/4543d4f1.faster-whisper.data.json",
        "m22/4543d4f1.parakeet.data.no_timestamps.json",
        "m22/4543d4f1.parakeet.data.timestamp_dict.json",
        "m22/4543d4f1.parakeet.data.timestep_frames.json",
    ] {
        assert!(is_allowed(M22_TYPED, &recorded::json(name)), "{name}");
    }
    for name in [
        "head/faster-whisper.data.json",
        "head/nemo.data.dict.lang_auto.json",
        "head/nemo.data.dict_noseg.lang_en.json",
        "head/nemo.data.none.lang_en.json",
    ] {
        assert!(is_allowed(STREAMS, &recorded::json(name)), "{name}");
    }
}

#[test]
fn the_plans_own_output_is_no_typed_one() {
    let data = &recorded::json("m22/raw.transcribe.output.json")["data"];
    assert!(!is_allowed(M22_TYPED, data));
    assert!(!is_allowed(STREAMS, data));
}

#[test]
fn the_schema_of_streams_says_what_dalstons_own_model_said() {
    let recorded_verdicts = recorded::json("head/validation_matrix.json");
    let segment = |words| json!([{"start": 0.0, "end": 1.0, "text": "x", "words": words}]);
    let data =
        |segments| json!({"text": "x", "segments": segments, "language": "en", "engine_id": "e"});
    let with = |key: &str, value: Value| {
        let mut data = data(json!([]));
        data[key] = value;
        data
    };
    let cases = [
        ("minimal_ok", data(json!([]))),
        ("extra_top", with("native_word_timestamps", json!(true))),
        ("null_language", with("language", Value::Null)),
        (
            "missing_engine_id",
            json!({"text": "x", "segments": [], "language": "en"}),
        ),
        (
            "word_key",
            data(segment(json!([{"word": "x", "start": 0, "end": 1}]))),
        ),
        (
            "neg_start",
            data(json!([{"start": -0.01, "end": 1.0, "text": "x"}])),
        ),
        (
            "end_before_start",
            data(json!([{"start": 1.0, "end": 0.5, "text": "x"}])),
        ),
    ];
    for (name, data) in cases {
        let verdict = recorded_verdicts[name].as_str().expect("a verdict");
        assert_eq!(is_allowed(STREAMS, &data), verdict == "valid", "{name}");
    }
}
