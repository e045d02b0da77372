//! What strangers can send us, one function for each door: whatever comes in, what goes out holds.
//!
//! A fuzzer calls these functions with inputs that it invents (`cargo xtask fuzz`); `tests/corpus.rs`
//! calls them with the inputs in `corpus`, where every finding stays. They panic where a promise is
//! broken, and an ordinary error is a good answer.

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

/// Takes the fuzzer's panic hook away, which ends the process at every panic.
///
/// Decoders panic on hostile files, and `audio::read` catches that: it is an answer about the file, and
/// no finding. A panic that nothing catches still is one, because the fuzzer catches it itself.
pub fn panic_quietly() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Asserts that a sentence can go to a user and into a log: short, on one line, not empty.
#[track_caller]
fn assert_sentence(sentence: &str) {
    assert!(!sentence.is_empty(), "an error says nothing");
    // The longest has an identifier, a URI cut at 200 characters and its escapes.
    assert!(sentence.len() <= 2500, "{} bytes", sentence.len());
    assert!(
        !sentence.contains('\n'),
        "an error of two lines: {sentence:?}"
    );
}
