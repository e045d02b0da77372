//! A worker's status over HTTP: what the worker is doing, and whether it can take a task.
//!
//! The pages answer from the start of the process, before anything is loaded or connected, because a load
//! that takes minutes is no reason to restart a worker. `/health` answers 200 as long
//! as the process answers at all, and `/health/live` as long as the engine does not hang; `/health/ready` answers 503 while the worker would take no task.

mod ask;
mod pages;

pub use ask::{AskError, ask};
pub use pages::{Pages, ServeError};

#[cfg(test)]
mod tests;
