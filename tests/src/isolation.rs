//! Keeps tests from disturbing each other's time limits.
//!
//! The tests of one program run in parallel. Some tests have time limits, and some tests load every core, so
//! a test could exceed its limits only because of the test that runs at the same time. Every integration test
//! therefore takes a guard first and keeps the guard until its end:
//!
//! - [`alone`]: no other test of the program runs meanwhile. In `pipeline`, where most tests have limits and
//!   wait most of the time, the heavy tests run alone. In `model`, where most tests are heavy, the tests with
//!   limits run alone.
//! - [`shared`]: other tests that call [`shared`] may run at the same time.
//!
//! A test takes one guard only. A test that asked for a second guard could wait for itself for ever, even if
//! both are shared: a shared guard waits behind a test that waits to be alone.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The lock of this test program. It is tokio's, for three reasons. The lock is fair, so shared tests cannot
/// overtake a test that waits to be alone. A test that fails does not poison the lock. A guard is `Send`, so
/// the backend of an async test can hold it.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Waits until no test runs alone.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.blocking_read()
}

/// As [`shared`], for a test with `#[tokio::test]`.
pub async fn shared_async() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// Waits until no other test of this program runs.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.blocking_write()
}
