//! Replays the corpus: a fuzzer's findings, and the inputs that it began with.

use std::fs;
use std::path::PathBuf;

/// Calls `target` with every file in these folders of the repository; no folder may be empty.
#[track_caller]
fn replay(folders: &[&str], target: fn(&[u8])) {
    for folder in folders {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(folder);
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
        let mut n_files = 0;
        for entry in entries {
            let path = entry.expect("the folder is part of the repository").path();
            let input = fs::read(&path).expect("a corpus has files and no folders");
            // Printed first, so that the name of the input precedes the message of a panic.
            eprintln!("replaying {}", path.display());
            target(&input);
            n_files += 1;
        }
        assert!(n_files > 0, "{} is empty", folder.display());
    }
}

#[test]
fn no_audio_file_breaks_a_promise() {
    replay(&["fuzz/corpus/audio", "tests/data/audio"], fuzz::audio);
}

#[test]
fn no_task_breaks_a_promise() {
    replay(&["fuzz/corpus/tasks"], fuzz::tasks);
}

#[test]
fn no_uri_breaks_a_promise() {
    replay(&["fuzz/corpus/uri"], fuzz::uri);
}

#[cfg(feature = "model")]
#[test]
fn no_manifest_breaks_a_promise() {
    replay(&["fuzz/corpus/manifest"], fuzz::manifest);
}
