//! A standard output that takes nothing, or no more.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::program::{Run, SPEECH, TINY, project, recordings, run, transcribe};

/// Runs a line of shell, in which `$transcribe` is the command with a model and one file.
fn run_in_shell(line: &str) -> Run {
    let program = transcribe();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .current_dir(project())
        .env("OMP_NUM_THREADS", "1")
        .env(
            "transcribe",
            format!(
                "{} transcribe --model {TINY} {SPEECH}",
                program.get_program().display()
            ),
        );
    run(&mut shell)
}

#[track_caller]
fn check_useless(line: &str, stderr: &str) {
    let run = run_in_shell(line);
    assert_eq!(
        (run.code, run.stderr.trim_end()),
        (Some(1), stderr),
        "{line}"
    );
}

#[test]
fn a_closed_standard_output_is_an_error() {
    check_useless(
        "$transcribe >&-",
        "error: standard output is closed; transcripts are written there",
    );
}

#[test]
fn a_standard_output_that_cannot_be_written_is_an_error() {
    check_useless(
        "$transcribe 1</dev/null",
        "error: cannot write to standard output: Bad file descriptor (os error 9)",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error() {
    check_useless(
        "$transcribe >/dev/full",
        "error: cannot write to standard output: No space left on device (os error 28)",
    );
}

#[test]
fn an_output_that_is_thrown_away_is_no_error() {
    for stdout in [
        File::create("/dev/null"),
        OpenOptions::new().read(true).write(true).open("/dev/null"),
    ] {
        let stdout = stdout.expect("every system has it");
        let run = run(transcribe().args(["--model", TINY, SPEECH]).stdout(stdout));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_reader_that_closes_the_pipe_ends_the_program_without_a_word() {
    let mut child = transcribe()
        .args(["--model", TINY, "--batch-size", "1"])
        .args(recordings())
        .args(recordings())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdout = BufReader::with_capacity(1, child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("all output is UTF-8");
    drop(stdout);
    let mut stderr = String::new();
    let mut errors = child.stderr.take().expect("it is piped");
    errors
        .read_to_string(&mut stderr)
        .expect("all output is UTF-8");
    let code = child.wait().expect("it ends").code();
    assert_eq!((code, stderr.as_str()), (Some(141), ""), "128 and SIGPIPE");
    assert!(
        line.starts_with("tests/data/tiny-300/0001.flac: "),
        "{line}"
    );
}
