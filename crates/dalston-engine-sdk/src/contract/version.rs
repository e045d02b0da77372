//! The three contracts, and one table of how they differ.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::Schema;
use serde_json::Value;

use super::m22;
use super::request::{self, Request};
use crate::error::TaskError;
use crate::queue::Claim;

/// Which Dalston the worker talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contract {
    /// The plan's own contract: lists, `input.json`, words under `word`.
    #[default]
    M22,
    /// The same queue and request, with the typed outputs of the M22 era's last days.
    M22Typed,
    /// Redis Streams, `request.json`, a registry of engines.
    Streams,
}

/// What kind of queue a contract uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// A Redis list.
    List,
    /// A Redis stream.
    Stream,
}

/// One row of the table: how one contract differs from the others, apart from the shape of a transcript.
pub(super) struct Terms {
    contract: Contract,
    /// The name that a person types.
    name: &'static str,
    queue: QueueKind,
    /// The file name of a task's request.
    pub(super) request_file: &'static str,
    /// Reads the request.
    pub(super) read_request: fn(&Claim, &[u8]) -> Result<Request, TaskError>,
    /// The file name of a task's result.
    pub(super) output_file: &'static str,
    /// Checks the `data` of a transcript.
    pub(super) validator: &'static LazyLock<Validator>,
    /// Whether a result lists the files that the stage produced.
    pub(super) lists_files: bool,
    /// Whether the pipeline has a registry of engines.
    pub(super) has_registry: bool,
}

static TABLE: [Terms; 3] = [
    Terms {
        contract: Contract::M22,
        name: "m22",
        queue: QueueKind::List,
        request_file: "input.json",
        read_request: request::read_input,
        output_file: "output.json",
        validator: &M22,
        lists_files: false,
        has_registry: false,
    },
    Terms {
        contract: Contract::M22Typed,
        name: "m22-typed",
        queue: QueueKind::List,
        request_file: "input.json",
        read_request: request::read_input,
        output_file: "output.json",
        validator: &M22_TYPED,
        lists_files: false,
        has_registry: false,
    },
    Terms {
        contract: Contract::Streams,
        name: "streams",
        queue: QueueKind::Stream,
        request_file: "request.json",
        read_request: request::read_request,
        output_file: "response.json",
        validator: &STREAMS,
        lists_files: true,
        has_registry: true,
    },
];

static M22: LazyLock<Validator> = LazyLock::new(|| validator(m22::schema().to_value()));
static M22_TYPED: LazyLock<Validator> =
    LazyLock::new(|| recorded(include_str!("schemas/m22_typed.json")));
static STREAMS: LazyLock<Validator> =
    LazyLock::new(|| recorded(include_str!("schemas/streams.json")));

impl Contract {
    /// All contracts.
    pub const ALL: [Self; 3] = [Self::M22, Self::M22Typed, Self::Streams];

    /// The kind of queue that the contract uses.
    pub fn queue_kind(self) -> QueueKind {
        self.terms().queue
    }

    /// A sentence for the person who runs this contract, to be logged once at the start; `None` if there
    /// is nothing to say.
    pub fn caveat(self) -> Option<&'static str> {
        matches!(self, Self::M22).then_some(
            "contract m22 writes the plan's output, whose words Dalston's merge stages of that era \
             drop; set DALSTON_CONTRACT=m22-typed where outputs are typed",
        )
    }

    /// JSON schema of `data` in the contract `m22`, for an engine's manifest.
    pub fn m22_schema() -> Schema {
        m22::schema()
    }

    /// The contract's row of the table.
    pub(super) fn terms(self) -> &'static Terms {
        let row = TABLE.iter().find(|terms| terms.contract == self);
        row.expect("the table has a row for every contract")
    }
}

impl FromStr for Contract {
    type Err = UnknownContract;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = TABLE.iter().find(|terms| terms.name == name);
        found.map(|terms| terms.contract).ok_or(UnknownContract)
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.terms().name)
    }
}

/// A name that no contract has.
#[derive(Debug, thiserror::Error)]
#[error("expected m22, m22-typed or streams")]
pub struct UnknownContract;

/// The validator of a schema that was recorded from Dalston.
fn recorded(schema: &str) -> Validator {
    validator(serde_json::from_str(schema).expect("the schema is a part of the program"))
}

fn validator(schema: Value) -> Validator {
    jsonschema::validator_for(&schema).expect("tests compile every schema")
}
