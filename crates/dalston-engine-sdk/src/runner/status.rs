//! What the worker is doing, kept in one place for the health pages and the registry.

use tokio::sync::watch;

use super::{Phase, WorkerState};
use crate::engine::EngineHealth;
use crate::health::{Link, Vitals};

/// The one writer of [`Vitals`].
#[derive(Debug)]
pub(super) struct Status {
    vitals: watch::Sender<Vitals>,
}

impl Status {
    pub(super) fn new(vitals: watch::Sender<Vitals>) -> Self {
        Self { vitals }
    }

    /// The engine is ready, or still is after a task.
    pub(super) fn engine_ready(&self, health: EngineHealth) {
        self.change(|vitals| {
            vitals.worker.engine = health;
            if vitals.worker.phase == Phase::Loading {
                vitals.worker.phase = at_work(vitals.worker.active);
            }
        });
    }

    /// The engine loads, again perhaps.
    pub(super) fn engine_loading(&self) {
        self.change(|vitals| {
            if vitals.worker.phase != Phase::Draining {
                vitals.worker.phase = Phase::Loading;
            }
        });
    }

    /// No new task from now on.
    pub(super) fn draining(&self) {
        self.change(|vitals| vitals.worker.phase = Phase::Draining);
    }

    pub(super) fn task_began(&self) {
        self.count(|active| active + 1);
    }

    pub(super) fn task_ended(&self) {
        self.count(|active| active.saturating_sub(1));
    }

    /// The queue answered, or did not.
    pub(super) fn queue_answered(&self, answered: bool) {
        self.change(|vitals| vitals.queue = link(answered));
    }

    /// The store answered, or did not.
    pub(super) fn store_answered(&self, answered: bool) {
        self.change(|vitals| vitals.store = link(answered));
    }

    /// Whether the store did not answer when it was last asked.
    pub(super) fn is_store_away(&self) -> bool {
        self.vitals.borrow().store == Link::Unavailable
    }

    /// What goes into the registry.
    pub(super) fn worker(&self) -> WorkerState {
        self.vitals.borrow().worker.clone()
    }

    fn count(&self, next: impl FnOnce(u32) -> u32) {
        self.change(|vitals| {
            let worker = &mut vitals.worker;
            worker.active = next(worker.active);
            if matches!(worker.phase, Phase::Idle | Phase::Processing) {
                worker.phase = at_work(worker.active);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vitals)) {
        self.vitals.send_modify(change);
    }
}

fn at_work(active: u32) -> Phase {
    if active == 0 {
        Phase::Idle
    } else {
        Phase::Processing
    }
}

fn link(answered: bool) -> Link {
    if answered {
        Link::Connected
    } else {
        Link::Unavailable
    }
}
