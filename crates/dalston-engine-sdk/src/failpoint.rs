//! Failpoints: places between the steps of a task where a test can kill the process.
//!
//! They exist for tests only. Without the feature `failpoints`, which no shipped binary has, `reach` does
//! nothing and no failpoint can be armed.

/// The steps after which a test can kill the process, in the order in which a task passes them.
pub const FAILPOINTS: [&str; 6] = [
    "claimed",
    "started",
    "fetched",
    "processed",
    "stored",
    "finished",
];

#[cfg(feature = "failpoints")]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Makes the process abort when it next reaches failpoint `name`. The first call counts; later ones change
/// nothing.
///
/// # Panics
///
/// There is no such failpoint. A test that killed no process would prove nothing.
#[cfg(feature = "failpoints")]
pub fn arm(name: &str) {
    assert!(FAILPOINTS.contains(&name), "no failpoint {name:?}");
    let _ = ARMED.set(name.to_owned());
}

/// Aborts the process if a test armed this failpoint.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) {
    if ARMED.get().is_some_and(|armed| armed == name) {
        std::process::abort();
    }
}

/// Does nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn reach(_: &str) {}
