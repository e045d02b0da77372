//! Where an engine is in its life, as the engine's thread publishes it.

use std::sync::Arc;
use std::time::Duration;

use super::capabilities::EngineHealth;
use crate::error::TaskError;

/// Where an engine is in its life.
#[derive(Clone, Debug)]
pub enum EngineState {
    /// The engine loads, for the first time or after a panic.
    Loading,
    /// The engine waits for tasks or works on some.
    Ready(LoadedEngine),
    /// The engine cannot be loaded, and its thread ends.
    Broken(Arc<TaskError>),
}

/// What a loaded engine reports.
#[derive(Clone, Debug)]
pub struct LoadedEngine {
    /// The engine's state after its load or its last task.
    pub health: EngineHealth,
    /// How many tasks the engine works on at a time.
    pub tasks_at_once: usize,
    /// How long the load took.
    pub load_time: Duration,
}

impl EngineState {
    /// Replaces the health of a loaded engine; any other state stays. Returns whether the state changed.
    pub(super) fn update_health(&mut self, health: EngineHealth) -> bool {
        match self {
            Self::Ready(loaded) => {
                loaded.health = health;
                true
            }
            _ => false,
        }
    }
}
