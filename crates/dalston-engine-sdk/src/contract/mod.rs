//! What the pipeline sends and what it wants back, in each of its three contracts.
//!
//! | [`Contract`] | request | result | queue |
//! |---|---|---|---|
//! | `m22` | `input.json` | `output.json`, the plan's shape: words under `word` | a list |
//! | `m22-typed` | `input.json` | `output.json`, `TranscribeOutput`: words under `text` | a list |
//! | `streams` | `request.json` | `response.json`, `Transcript` | a stream |
//!
//! The whole module is pure: bytes and fields in, bytes and fields out. Its tests use recorded messages,
//! which are in `tests/data/dalston`; `docs/pipeline.md` says which Dalston uses which contract.

mod event;
mod identity;
mod keys;
mod m22;
mod m22_typed;
mod output;
mod protocol;
mod registry;
mod request;
mod streams;
mod version;

pub use crate::transcript::{
    AlignmentMethod, LanguageSource, Transcript, TranscriptSegment, TranscriptWord,
    UNKNOWN_LANGUAGE,
};
pub use event::TaskEvent;
pub use identity::Identity;
pub use m22::M22Transcript;
pub use protocol::Protocol;
pub(crate) use registry::gigabytes;
pub use request::Request;
pub use version::{Contract, QueueKind, UnknownContract};
