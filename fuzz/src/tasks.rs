//! Tasks: a request from the store, the fields of a message, and settings that users choose.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use dalston_engine_sdk::contract::{Contract, Identity, Protocol, Request, TaskEvent};
use dalston_engine_sdk::queue::Claim;
use dalston_engine_sdk::uri::ObjectUri;
use dalston_engine_sdk::{Capabilities, ErrorKind, TaskError, TaskOutput};
use serde_json::Value;

const TASK_ID: &str = "task";
const JOB_ID: &str = "job";

/// Reads a request in every contract. The request is one that an engine can work with, or the task is refused
/// as its own fault.
///
/// The input is the request's body, then after a zero byte the message's `timeout_at`, then after a second
/// zero byte the artifacts that the task's hash names.
///
/// # Panics
///
/// One of these promises is broken.
pub fn tasks(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let body = parts.next().unwrap_or_default();
    let claim = claim(parts.next(), parts.next());
    for contract in Contract::ALL {
        let protocol = protocol(contract);
        match protocol.read_request(&claim, body) {
            Ok(request) => check_request(&protocol, &claim, &request),
            Err(why) => check_refusal(&protocol, &claim, &why),
        }
    }
}

fn check_request(protocol: &Protocol, claim: &Claim, request: &Request) {
    for (_, uri) in &request.files {
        if let Err(why) = ObjectUri::parse(uri, "artifacts") {
            crate::assert_sentence(&why.to_string());
        }
    }
    assert_ne!(
        request.budget,
        Some(Duration::ZERO),
        "such a task could not even begin"
    );
    #[cfg(feature = "model")]
    if let Err(why) = parakeet_worker::task_config::TranscribeConfig::read(&request.config) {
        check_refusal(protocol, claim, &why);
    }
    let output = TaskOutput::default();
    let written = protocol.write_output(claim, request, &output, Default::default());
    let written = written.expect("a result without content can be written");
    let written: Value = serde_json::from_slice(&written).expect("a document is JSON");
    assert_eq!(written["task_id"], TASK_ID);
}

fn check_refusal(protocol: &Protocol, claim: &Claim, why: &TaskError) {
    assert_eq!(why.kind(), ErrorKind::Input, "{}", why.chain());
    let sentence = why.to_string();
    assert!(!sentence.is_empty() && sentence.len() <= 2500, "{sentence}");
    let event = protocol.event(claim, TaskEvent::Failed(&sentence));
    let message: Value = serde_json::from_str(&event.message).expect("an event is JSON");
    assert_eq!(message["error"], sentence.as_str());
}

/// A task's claim, as the queue would hand it out.
fn claim(timeout_at: Option<&[u8]>, artifacts: Option<&[u8]>) -> Claim {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut message = BTreeMap::from([("job_id".to_owned(), JOB_ID.to_owned())]);
    message.extend(timeout_at.map(|it| ("timeout_at".to_owned(), text(it))));
    let mut metadata = message.clone();
    metadata.insert("stage".to_owned(), "transcribe".to_owned());
    metadata.extend(artifacts.map(|it| ("resolved_artifact_ids_json".to_owned(), text(it))));
    Claim {
        task_id: TASK_ID.to_owned(),
        message,
        metadata,
        ..Claim::default()
    }
}

fn protocol(contract: Contract) -> Protocol {
    Protocol {
        contract,
        identity: Identity {
            engine_id: "engine".to_owned(),
            instance: "engine-1".to_owned(),
            hostname: "host".to_owned(),
            node_id: "box".to_owned(),
            deploy_env: "test".to_owned(),
            capabilities: Capabilities::default(),
            registered_at: UNIX_EPOCH,
        },
    }
}
