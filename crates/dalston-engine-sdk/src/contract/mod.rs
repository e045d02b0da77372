//! What the pipeline sends and what it wants back, in each of its three contracts.
//!
//! | [`Contract`] | request | result | queue |
//! |---|---|---|---|
//! | `m22` | `input.json` | `output.json`, the plan's shape: words under `word` | a list |
//! | `m22-typed` | `input.json` | `output.json`, `TranscribeOutput`: words under `text` | a list |
//! | `streams` | `request.json` | `response.json`, `Transcript` | a stream |
//!
//! All of it is pure: bytes and fields in, bytes and fields out. The recorded messages that it is
//! tested with are in `tests/data/dalston`; `docs/pipeline.md` says which Dalston speaks which.

mod event;
mod keys;
mod m22;
mod m22_typed;
mod output;
mod registry;
mod request;
mod streams;
pub(crate) mod timestamp;
mod transcript;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use object_store::path::Path;
use schemars::Schema;

use crate::engine::TaskOutput;
use crate::error::TaskError;
use crate::queue::{Claim, Event, Record};
use crate::runner::{Dialect, News, Request, WorkerState};

pub use m22::M22Transcript;
pub use registry::Identity;
pub use transcript::{
    AlignmentMethod, LanguageSource, Transcript, TranscriptSegment, TranscriptWord,
    UNKNOWN_LANGUAGE,
};

/// Which Dalston the worker talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contract {
    /// The plan's own: lists, `input.json`, words under `word`.
    #[default]
    M22,
    /// The same queue, with the typed outputs of the era's last days.
    M22Typed,
    /// Redis Streams, `request.json`, a registry of engines.
    Streams,
}

impl Contract {
    /// All contracts, by the names that a person types.
    pub const ALL: [(&'static str, Self); 3] = [
        ("m22", Self::M22),
        ("m22-typed", Self::M22Typed),
        ("streams", Self::Streams),
    ];

    /// What a person who runs this contract should know, to be said once at start.
    pub fn caveat(self) -> Option<&'static str> {
        matches!(self, Self::M22).then_some(
            "contract m22 writes the plan's output, whose words Dalston's merge stages of that era \
             drop; set DALSTON_CONTRACT=m22-typed where outputs are typed",
        )
    }

    /// JSON schema of `data` in the contract `m22`, for an engine's manifest.
    pub fn m22_schema() -> Schema {
        output::m22_schema()
    }
}

impl FromStr for Contract {
    type Err = UnknownContract;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, contract)| contract).ok_or(UnknownContract)
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.into_iter().find(|(_, contract)| contract == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// A name that no contract has.
#[derive(Debug, thiserror::Error)]
#[error("expected m22, m22-typed or streams")]
pub struct UnknownContract;

/// Speaks one contract for one worker.
#[derive(Debug, Clone)]
pub struct Dalston {
    /// The contract.
    pub contract: Contract,
    /// Who speaks.
    pub identity: Identity,
}

impl Dialect for Dalston {
    fn request_key(&self, claim: &Claim) -> Result<Path, TaskError> {
        keys::request(self.contract, claim)
    }

    fn read_request(&self, claim: &Claim, body: &[u8]) -> Result<Request, TaskError> {
        match self.contract {
            Contract::M22 | Contract::M22Typed => request::read_input(claim, body),
            Contract::Streams => request::read_request(claim, body),
        }
    }

    fn output_key(&self, claim: &Claim) -> Result<Path, TaskError> {
        keys::output(self.contract, claim)
    }

    fn write_output(
        &self,
        claim: &Claim,
        request: &Request,
        output: &TaskOutput,
        processing_time: Duration,
    ) -> Result<Vec<u8>, TaskError> {
        output::write(self, claim, request, output, processing_time)
    }

    fn event(&self, claim: &Claim, news: News<'_>) -> Event {
        event::word(&self.identity.engine_id, claim, news)
    }

    fn record(&self, worker: &WorkerState) -> Option<Record> {
        let has_registry = self.contract == Contract::Streams;
        has_registry.then(|| registry::record(&self.identity, worker))
    }
}
