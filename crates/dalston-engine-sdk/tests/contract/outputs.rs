//! A worker stores the same bytes that Dalston's own runner stored for the same transcript.

use std::time::Duration;

use dalston_engine_sdk::contract::{AlignmentMethod, Contract, Request, Transcript};
use dalston_engine_sdk::queue::Claim;
use dalston_engine_sdk::{ErrorKind, TaskError, TaskOutput, TaskResult};
use serde_json::{Value, json};

use super::recorded;

/// Writes again the transcript that a recorded output was written from.
fn rewritten(
    contract: Contract,
    claim: &Claim,
    recorded_output: &Value,
    engine_id: &str,
) -> String {
    let data = &recorded_output["data"];
    let time = recorded_output["processing_time_seconds"]
        .as_f64()
        .expect("a time");
    let mut request = Request::default();
    if let Some(channel) = data.get("channel").filter(|it| !it.is_null()) {
        request.config.insert("channel".into(), channel.clone());
    }
    let output = TaskOutput {
        result: TaskResult::Transcript(recorded::transcript(data)),
        ..TaskOutput::default()
    };
    let protocol = recorded::protocol(contract, engine_id);
    let bytes = protocol
        .write_output(claim, &request, &output, Duration::from_secs_f64(time))
        .unwrap_or_else(|err| panic!("{}", err.chain()));
    let written = String::from_utf8(bytes).expect("JSON is UTF-8");
    let document: Value = serde_json::from_str(&written).expect("JSON");
    let now = document["completed_at"].as_str().expect("a time");
    let then = recorded_output["completed_at"].as_str().expect("a time");
    assert_eq!(now.len(), then.len(), "{now}, recorded {then}");
    written.replacen(now, then, 1)
}

#[test]
fn the_plans_output_is_written_byte_for_byte() {
    let claim = recorded::m22_claim("raw.transcribe");
    let name = "m22/raw.transcribe.output.json";
    let written = rewritten(Contract::M22, &claim, &recorded::json(name), "parakeet");
    assert_eq!(written, recorded::text(name).trim_end());
}

#[test]
fn typed_outputs_are_written_byte_for_byte() {
    for task in [
        "typed.transcribe",
        "mp3.transcribe",
        "pc.transcribe_ch0",
        "pc.transcribe_ch1",
    ] {
        let claim = recorded::m22_claim(task);
        let name = format!("m22/{task}.output.json");
        let written = rewritten(
            Contract::M22Typed,
            &claim,
            &recorded::json(&name),
            "parakeet",
        );
        assert_eq!(written, recorded::text(&name).trim_end(), "{task}");
    }
}

#[test]
fn responses_are_written_byte_for_byte_but_for_the_second_place_of_a_confidence() {
    for task in ["typed.transcribe", "pc.transcribe_ch0", "pc.transcribe_ch1"] {
        let claim = recorded::head_claim(task);
        let name = format!("head/{task}.response.json");
        let written = rewritten(Contract::Streams, &claim, &recorded::json(&name), "nemo");
        // The recorded engine did not write this copy of the confidence, and Dalston's final transcript
        // has no confidence: see `typed.transcript.json` of the recording, where it is null.
        let second_place = "\"metadata\": {\n          \"confidence\": 0.9\n        }";
        assert_eq!(written.matches(second_place).count(), 2, "{task}");
        let written = written.replace(second_place, "\"metadata\": {}");
        assert_eq!(written, recorded::text(&name).trim_end(), "{task}");
    }
}

fn recorded_transcript() -> Transcript {
    let data = &recorded::json("m22/typed.transcribe.output.json")["data"];
    recorded::transcript(data)
}

fn write(contract: Contract, result: TaskResult) -> Result<Value, TaskError> {
    let claim = recorded::m22_claim("typed.transcribe");
    let output = TaskOutput {
        result,
        ..TaskOutput::default()
    };
    let protocol = recorded::protocol(contract, "speech");
    let time = Duration::from_millis(1234);
    let bytes = protocol.write_output(&claim, &Request::default(), &output, time)?;
    Ok(serde_json::from_slice(&bytes).expect("JSON"))
}

const ALL: [Contract; 3] = [Contract::M22, Contract::M22Typed, Contract::Streams];

#[test]
fn silence_is_an_empty_transcript_and_no_error() {
    for contract in ALL {
        let transcript = Transcript {
            text: String::new(),
            segments: Vec::new(),
            ..recorded_transcript()
        };
        let written = write(contract, TaskResult::Transcript(transcript)).expect("allowed");
        assert_eq!(written["data"]["text"], "", "{contract}");
        assert_eq!(written["data"]["segments"], json!([]), "{contract}");
    }
}

#[test]
fn what_the_pipeline_would_refuse_is_not_stored_and_not_quoted() {
    for contract in ALL {
        for start in [-0.01, f64::NAN, f64::INFINITY] {
            let mut transcript = recorded_transcript();
            transcript.text = "a secret".into();
            transcript.segments[1].words[0].start = start;
            let err = write(contract, TaskResult::Transcript(transcript)).expect_err("refused");
            assert_eq!(err.kind(), ErrorKind::Engine);
            // Both of Dalston's schemas allow words to be null, so they refuse all words of the segment.
            let place = match contract {
                Contract::M22 => "/segments/1/words/0/start",
                Contract::M22Typed | Contract::Streams => "/segments/1/words",
            };
            let sentence =
                format!("the result is not what contract {contract} allows at {place:?}");
            assert_eq!(err.to_string(), sentence);
            assert!(!err.chain().contains("secret"), "{}", err.chain());
        }
    }
}

#[test]
fn unknown_confidence_is_never_made_up() {
    let mut transcript = recorded_transcript();
    for segment in &mut transcript.segments {
        segment.confidence = None;
        segment
            .words
            .iter_mut()
            .for_each(|word| word.confidence = None);
    }
    let result = TaskResult::Transcript(transcript);
    let plain = write(Contract::M22, result.clone()).expect("allowed");
    let word = &plain["data"]["segments"][0]["words"][0];
    assert_eq!(word, &json!({"word": "hello", "start": 0.32, "end": 0.56}));
    for contract in [Contract::M22Typed, Contract::Streams] {
        let written = write(contract, result.clone()).expect("allowed");
        let segment = &written["data"]["segments"][0];
        assert_eq!(segment["confidence"], Value::Null, "{contract}");
        assert_eq!(segment["words"][0]["confidence"], Value::Null, "{contract}");
    }
    let written = write(Contract::Streams, result).expect("allowed");
    assert_eq!(written["data"]["segments"][0]["metadata"], json!({}));
}

#[test]
fn warnings_and_the_method_of_confidences_are_said_where_there_is_a_place_for_them() {
    let transcript = Transcript {
        warnings: vec!["cut".into()],
        confidence_method: Some("max_prob".into()),
        ..recorded_transcript()
    };
    let result = TaskResult::Transcript(transcript);
    for contract in ALL {
        let written = write(contract, result.clone()).expect("allowed");
        assert_eq!(written["data"]["warnings"], json!(["cut"]), "{contract}");
    }
    let written = write(Contract::M22, result.clone()).expect("allowed");
    assert_eq!(written["data"]["confidence_method"], "max_prob");
    let written = write(Contract::Streams, result).expect("allowed");
    assert_eq!(
        written["data"]["metadata"],
        json!({"confidence_method": "max_prob"})
    );
}

#[test]
fn segments_without_words_say_that_there_are_none() {
    let mut transcript = recorded_transcript();
    transcript
        .segments
        .iter_mut()
        .for_each(|segment| segment.words.clear());
    let result = TaskResult::Transcript(transcript);
    let written = write(Contract::M22, result.clone()).expect("allowed");
    assert!(written["data"]["segments"][0].get("words").is_none());
    let written = write(Contract::M22Typed, result.clone()).expect("allowed");
    assert_eq!(written["data"]["segments"][0]["words"], Value::Null);
    assert_eq!(written["data"]["timestamp_granularity_actual"], "segment");
    let written = write(Contract::Streams, result).expect("allowed");
    assert_eq!(written["data"]["timestamp_granularity"], "segment");
}

#[test]
fn every_method_of_ours_is_one_of_the_pipelines() {
    for method in [
        AlignmentMethod::Attention,
        AlignmentMethod::Ctc,
        AlignmentMethod::Rnnt,
        AlignmentMethod::Tdt,
        AlignmentMethod::Unknown,
    ] {
        for contract in ALL {
            let transcript = Transcript {
                alignment_method: method,
                ..recorded_transcript()
            };
            write(contract, TaskResult::Transcript(transcript)).expect("allowed");
        }
    }
}

#[test]
fn another_stages_result_is_stored_as_it_is() {
    let data = json!({"speakers": ["A"], "turns": []});
    for contract in ALL {
        let written = write(contract, TaskResult::Data(data.clone())).expect("allowed");
        assert_eq!(written["data"], data);
        assert_eq!(written["processing_time_seconds"], 1.23);
        let has_files = written.get("produced_artifacts").is_some();
        assert_eq!(has_files, contract == Contract::Streams);
    }
}
