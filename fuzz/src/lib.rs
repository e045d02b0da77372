//! Fuzz targets: one function for each kind of input from outside.
//!
//! A fuzzer calls these functions with inputs that it generates (`cargo xtask fuzz`). `tests/corpus.rs` calls
//! them with the inputs in `corpus`, where every finding is kept. A function panics if a promise is broken;
//! an ordinary error keeps the promise.

#![forbid(unsafe_code)]

mod audio;
#[cfg(feature = "model")]
mod manifest;
mod tasks;
mod uri;

pub use audio::audio;
#[cfg(feature = "model")]
pub use manifest::manifest;
pub use tasks::tasks;
pub use uri::uri;

/// Removes the fuzzer's panic hook, which ends the process at every panic.
///
/// Audio decoders panic on hostile files. `audio::read` catches these panics and reports a damaged file,
/// which is no finding. A panic that nothing else catches is still a finding, because the fuzzer catches it.
pub fn panic_quietly() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Asserts that a sentence fits a user and a log: it is short, on one line, and not empty.
#[track_caller]
fn assert_sentence(sentence: &str) {
    assert!(!sentence.is_empty(), "an error says nothing");
    // The longest sentence contains an identifier and a URI, cut at 200 characters and then escaped.
    assert!(sentence.len() <= 2500, "{} bytes", sentence.len());
    assert!(
        !sentence.contains('\n'),
        "an error of two lines: {sentence:?}"
    );
}
