//! The contracts between Dalston and an engine, as the tests need them.

/// The contracts that Dalston has had, each a value of `DALSTON_CONTRACT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// Tasks in a Redis list, and outputs without a schema.
    M22,
    /// Tasks in the same list, and typed outputs.
    M22Typed,
    /// Tasks in a Redis stream, durable events and a registry of engines.
    Streams,
}

impl Contract {
    /// All contracts.
    pub const ALL: [Self; 3] = [Self::M22, Self::M22Typed, Self::Streams];

    /// The value of `DALSTON_CONTRACT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::M22 => "m22",
            Self::M22Typed => "m22-typed",
            Self::Streams => "streams",
        }
    }

    /// The names of a task's request and of its response in the store.
    pub(crate) fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::M22 | Self::M22Typed => ("input.json", "output.json"),
            Self::Streams => ("request.json", "response.json"),
        }
    }
}
