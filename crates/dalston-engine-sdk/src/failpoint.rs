//! Places where a test may kill the process: between every two steps of a task's life.
//!
//! Exists for tests only. Without the feature `failpoints`, which no shipped binary has, `reach` is
//! empty and nothing can be armed.

/// The steps after which a process can be made to die, in the order of a task's life.
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

/// Makes the process abort the next time it reaches `name`; the first name stays.
///
/// # Panics
///
/// There is no such failpoint: a test that kills nobody proves nothing.
#[cfg(feature = "failpoints")]
pub fn arm(name: &str) {
    assert!(FAILPOINTS.contains(&name), "no failpoint {name:?}");
    let _ = ARMED.set(name.to_owned());
}

/// Dies here if a test wants so.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) {
    if ARMED.get().is_some_and(|armed| armed == name) {
        std::process::abort();
    }
}

/// Nothing happens here.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn reach(_: &str) {}
