//! What metrics are told apart by.

use std::fmt::Debug;
use std::hash::Hash;

use prometheus_client::encoding::EncodeLabelSet;

/// What a set of labels can do.
pub(super) trait Labels:
    EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static
{
}

impl<L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static> Labels for L {}

/// A task that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Processed {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) status: &'static str,
    pub(super) execution_profile: &'static str,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Task {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) execution_profile: &'static str,
}

/// What is done to tasks of any model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Transfer {
    pub(super) engine_id: String,
    pub(super) execution_profile: &'static str,
}

/// A task that came again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Redelivery {
    pub(super) stage: String,
    pub(super) reason: &'static str,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Stage {
    pub(super) stage: String,
}

/// An engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Engine {
    pub(super) engine_id: String,
}

/// A step of an engine's work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Step {
    pub(super) engine_id: String,
    pub(super) step: &'static str,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Failure {
    pub(super) engine_id: String,
    pub(super) kind: &'static str,
}

/// Work of a model on a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Recognition {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) device: String,
}
