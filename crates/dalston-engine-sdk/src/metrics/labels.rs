//! The label sets of the metrics.

use std::fmt::Debug;
use std::hash::Hash;

use prometheus_client::encoding::EncodeLabelSet;

/// A label set that a family of metrics can be keyed by.
pub(super) trait Labels:
    EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static
{
}

impl<L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static> Labels for L {}

/// Labels of a task that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Processed {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) status: &'static str,
    pub(super) execution_profile: &'static str,
}

/// Labels of a task's duration, and of a model's load.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Task {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) execution_profile: &'static str,
}

/// Labels of a task's wait for its model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Acquired {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) in_memory: &'static str,
}

/// Labels of a model that was in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CacheHit {
    pub(super) engine_id: String,
    pub(super) model: String,
}

/// Labels of a transfer, which is the same for tasks of any model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Transfer {
    pub(super) engine_id: String,
    pub(super) execution_profile: &'static str,
}

/// Labels of a task that was delivered again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Redelivery {
    pub(super) stage: String,
    pub(super) reason: &'static str,
}

/// Labels of a stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Stage {
    pub(super) stage: String,
}

/// Labels of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Engine {
    pub(super) engine_id: String,
}

/// Labels of a step of an engine's work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Step {
    pub(super) engine_id: String,
    pub(super) step: &'static str,
}

/// Labels of a task that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Failure {
    pub(super) engine_id: String,
    pub(super) kind: &'static str,
}

/// Labels of a model's work on a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Recognition {
    pub(super) engine_id: String,
    pub(super) model: String,
    pub(super) device: String,
}
