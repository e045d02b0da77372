//! Runs the program as a person would, from the root of the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The id of the tiny model, found without any setting from the root of the repository.
pub(crate) const TINY: &str = "parakeet-rnnt-tiny";

/// A real recording. The tiny model does not know its words, and recognises others instead.
pub(crate) const SPEECH: &str = "tests/data/speech/jfk.wav";

/// The root of the repository.
pub(crate) fn project() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent);
    root.expect("the crate lies two folders below the root")
}

/// `parakeet-worker transcribe`, with no setting in its environment. One thread each: tests run side
/// by side, and libtorch's threads wait for each other by spinning.
///
/// Panics if the tiny model's bundle is not there: a test that cannot run must not look as if it had
/// passed.
pub(crate) fn transcribe() -> Command {
    assert!(
        project()
            .join("models")
            .join(TINY)
            .join("manifest.json")
            .is_file(),
        "the tiny model's bundle is missing: `cargo xtask test` makes it (after `cargo xtask setup`)"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_parakeet-worker"));
    command
        .current_dir(project())
        .arg("transcribe")
        .stdin(Stdio::null());
    command
        .env_remove("DALSTON_MODEL_DIR")
        .env_remove("DALSTON_DEFAULT_MODEL")
        .env("OMP_NUM_THREADS", "1");
    command
}

/// Recordings of the test set, in order.
pub(crate) fn recordings() -> Vec<PathBuf> {
    let name = |number: usize| PathBuf::from(format!("tests/data/tiny-300/{number:04}.flac"));
    (1..=300).map(name).collect()
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs to the end. No run may panic, whatever it is given.
pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("all output is UTF-8");
    let run = Run {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    run
}
