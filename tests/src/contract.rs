//! Which Dalston a test plays.

/// The eras of Dalston that an engine can live in; the values of `DALSTON_CONTRACT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// A list, and outputs without a schema.
    M22,
    /// The same list, and typed outputs.
    M22Typed,
    /// Streams, durable events and a registry.
    Streams,
}

impl Contract {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::M22, Self::M22Typed, Self::Streams];

    /// The value of `DALSTON_CONTRACT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::M22 => "m22",
            Self::M22Typed => "m22-typed",
            Self::Streams => "streams",
        }
    }

    /// What the engine is asked and answers with, beside the task's other objects.
    pub(crate) fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::M22 | Self::M22Typed => ("input.json", "output.json"),
            Self::Streams => ("request.json", "response.json"),
        }
    }
}
