//! The queue that tasks come from and that their ends are reported to, in terms of claims and leases.
//!
//! A [`Queue`] is one worker's membership in a queue. It hands out [`Claim`]s. A claim is the worker's until
//! the worker finishes it, puts it back or drops it, or until the worker's lease lapses. No task is lost:
//! whatever happens to the worker, some worker can claim the task again.

mod address;
mod claim;
mod connect;
mod held;
mod keeping;
mod keys;
mod lease;
mod list;
mod memory;
mod scripts;
mod server;
mod streams;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "testsuite"))]
pub mod testsuite;

pub(crate) use address::Address;
pub use claim::{Claim, Ending, Event, PutBack, Queue, QueueError, Record};
pub use held::Receipt;
pub use list::ListQueue;
pub use memory::{MemoryBroker, MemoryQueue};
pub use streams::StreamQueue;
