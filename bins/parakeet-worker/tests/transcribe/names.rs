//! Names of files and models in what `transcribe` prints.

use std::fs;

use crate::program::{SPEECH, TINY, project};
use crate::usage::check;

#[test]
fn a_name_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let name = folder.path().join("a\x1b]0;title\x07\nerror: b.wav");
    fs::copy(project().join(SPEECH), &name).expect("Linux takes such a name");
    let name = name.to_str().expect("it is text");
    let missing = format!("{name}.missing");
    let shown = "a\\u{1b}]0;title\\u{7}\\nerror: b.wav";
    let run = check(&["--model", TINY, name, &missing], 1, &[shown]);
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
    assert!(run.stdout.contains(shown), "{run:?}");
    let run = check(
        &["--model", "no\x1b[2Jmodel", SPEECH],
        2,
        &["no\\u{1b}[2Jmodel"],
    );
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}
