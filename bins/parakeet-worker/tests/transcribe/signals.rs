//! SIGINT and SIGTERM end the program soon, after a whole line, and it says what is missing.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::{SPEECH, TINY, project, recordings, run, transcribe};
use crate::running::{Ended, Running, wait_for};

/// Longest time from a signal to the end of the program, on a busy machine. `docker stop` kills after ten seconds.
const SOON: Duration = Duration::from_secs(8);

/// How often [`many_recordings`] has each recording.
const N_REPEATS: usize = 40;

/// The first of the test set.
fn some_recordings() -> Vec<PathBuf> {
    recordings()[..20].to_vec()
}

/// So many recordings that the run is not over before a signal comes.
fn many_recordings() -> Vec<PathBuf> {
    vec![some_recordings(); N_REPEATS].concat()
}

fn transcribe_many(format: &str) -> Command {
    let mut command = transcribe();
    command
        .args(["--model", TINY, "--batch-size", "1", "--format", format])
        .args(many_recordings());
    command
}

#[track_caller]
fn check_end(ended: &Ended, code: i32, signal: &str) {
    let Ended { stderr, took, .. } = ended;
    assert_eq!(ended.code, Some(code), "{stderr}");
    assert!(*took < SOON, "{took:?}");
    assert!(
        stderr.starts_with(&format!("error: interrupted by {signal}: ")),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// Sends a signal after ten lines, and compares what was printed with a run to the end.
#[track_caller]
fn check_prefix(mut running: Running, signal: &str, code: i32) {
    running.read_lines(10);
    running.send(signal);
    let ended = running.end();
    check_end(&ended, code, &format!("SIG{signal}"));

    let files = many_recordings();
    let n_printed = ended.printed.lines().count();
    assert!((10..files.len()).contains(&n_printed), "{n_printed} lines");
    // Each recording has the same line each time.
    let whole = run(transcribe().args(["--model", TINY]).args(some_recordings())).stdout;
    assert!(
        whole.repeat(N_REPEATS).starts_with(&ended.printed),
        "{}",
        ended.printed
    );
    let missing: Vec<_> = files[n_printed..]
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let expected = match missing.len() {
        1 => format!("1 recording is missing: {}", missing[0]),
        n @ 2..=10 => format!("{n} recordings are missing: {}", missing.join(", ")),
        n => format!(
            "{n} recordings are missing: {} and {} more",
            missing[..10].join(", "),
            n - 10
        ),
    };
    let signal = format!("SIG{signal}");
    assert_eq!(
        ended.stderr,
        format!("error: interrupted by {signal}: {expected}\n")
    );
}

#[test]
fn sigint_ends_the_program_after_a_whole_line() {
    check_prefix(Running::start(&mut transcribe_many("text")), "INT", 130);
}

#[test]
fn sigterm_ends_the_program_after_a_whole_line() {
    check_prefix(Running::start(&mut transcribe_many("text")), "TERM", 143);
}

#[cfg(target_os = "linux")]
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that is skipped on a laptop fails on a build server, which sets CI"
)]
fn signals_end_process_1_of_a_container() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        match Running::start_as_process_1(&transcribe_many("text")) {
            Some(running) => check_prefix(running, signal, code),
            None if std::env::var_os("CI").is_some_and(|it| it == "true") => {
                panic!("unshare is not allowed")
            }
            None => eprintln!("SKIPPED: unshare makes no namespace of processes here"),
        }
    }
}

/// The documents of recordings, by what each begins with.
#[track_caller]
fn check_whole_documents(format: &str, n_lines: usize, first_line: &str) {
    let mut running = Running::start(&mut transcribe_many(format));
    running.read_lines(n_lines);
    running.send("TERM");
    let ended = running.end();
    check_end(&ended, 143, "SIGTERM");
    let whole = run(transcribe()
        .args(["--model", TINY, "--format", format])
        .args(some_recordings()))
    .stdout;
    let rest = whole.repeat(N_REPEATS);
    let rest = rest
        .strip_prefix(&ended.printed)
        .unwrap_or_else(|| panic!("{}", ended.printed));
    assert!(
        rest.starts_with(first_line),
        "{format}: a document is cut before {:.80}",
        rest
    );
}

#[test]
fn the_documents_printed_before_a_signal_are_whole() {
    check_whole_documents("json", 10, "{\"file\":");
    check_whole_documents("vtt", 40, "WEBVTT\n");
    check_whole_documents("srt", 40, "1\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_does_not_wait_for_standard_input() {
    let mut running = Running::start(
        transcribe()
            .args(["--model", TINY, SPEECH, "-", SPEECH])
            .stdin(Stdio::piped()),
    );
    running.read_lines(1);
    running.send("INT");
    let ended = running.end();
    check_end(&ended, 130, "SIGINT");
    assert!(
        ended
            .stderr
            .contains("2 recordings are missing: -, tests/data/speech/jfk.wav"),
        "{}",
        ended.stderr
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_does_not_wait_for_the_model() {
    let running = Running::start(transcribe().args(["--model", TINY, SPEECH]));
    running.wait_until_it_listens();
    running.send("TERM");
    let ended = running.end();
    check_end(&ended, 143, "SIGTERM");
    assert_eq!(ended.printed, "");
    assert!(
        ended
            .stderr
            .contains("1 recording is missing: tests/data/speech/jfk.wav"),
        "{}",
        ended.stderr
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_does_not_wait_for_a_long_recording() {
    let speech = fs::read(project().join(SPEECH)).expect("it is part of the repository");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let data = speech.windows(4).position(|name| name == b"data");
    let data = data.expect("a WAV file has a chunk called data");
    let (header, samples) = speech.split_at(data + 8);
    let mut header = header.to_vec();
    // A length of 0 is read as an unknown one.
    header[data + 4..].fill(0);
    file.write_all(&header).expect("it can be written");
    for _ in 0..300 {
        file.write_all(samples).expect("it can be written");
    }
    let running = Running::start(
        transcribe()
            .args(["--model", TINY, "--batch-size", "32"])
            .arg(file.path()),
    );
    running.wait_until_it_listens();
    thread::sleep(Duration::from_secs(2));
    running.send("TERM");
    let ended = running.end();
    check_end(&ended, 143, "SIGTERM");
    assert_eq!(ended.printed, "");
    assert!(
        ended.stderr.contains("1 recording is missing: "),
        "{}",
        ended.stderr
    );
}

/// Recordings of [`stuck`].
#[cfg(target_os = "linux")]
const N_STUCK: usize = 60;

/// A program that writes into a full pipe. Its lines are longer than what a pipe takes whole or not at all.
#[cfg(target_os = "linux")]
fn stuck() -> Running {
    let mut command = transcribe();
    command.args([
        "--model",
        TINY,
        "--batch-size",
        "1",
        "--format",
        "json",
        "--tokens",
    ]);
    let mut running = Running::start(command.args([SPEECH; N_STUCK]));
    running.read_lines(1);
    wait_for(|| {
        (0..20)
            .all(|_| {
                thread::sleep(Duration::from_millis(50));
                running.sleeps()
            })
            .then_some(())
    });
    running
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_does_not_wait_for_a_reader_that_does_not_read() {
    let mut running = stuck();
    let begun = Instant::now();
    running.send("TERM");
    let code = running.child.wait().expect("it ends").code();
    let took = begun.elapsed();
    assert!(took < SOON, "{took:?}");
    let ended = running.end();
    check_end(&ended, 143, "SIGTERM");
    assert_eq!(code, Some(143));
    // The last line is cut, so its recording is missing.
    let n_whole = ended.printed.matches('\n').count();
    assert!(!ended.printed.ends_with('\n'), "the pipe was not full");
    let n_missing = N_STUCK - n_whole;
    assert!(
        ended
            .stderr
            .contains(&format!("SIGTERM: {n_missing} recordings are missing: ")),
        "{}",
        ended.stderr
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_that_is_being_written_is_written_whole() {
    let running = stuck();
    running.send("TERM");
    thread::sleep(Duration::from_millis(300));
    let ended = running.end();
    check_end(&ended, 143, "SIGTERM");
    assert!(ended.printed.ends_with("\n"), "the last line is cut");
    let n_missing = N_STUCK - ended.printed.lines().count();
    let expected = format!("SIGTERM: {n_missing} recordings are missing: ");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut running = stuck();
    running.send("TERM");
    thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    running.send("INT");
    let code = running.child.wait().expect("it ends").code();
    let took = begun.elapsed();
    assert_eq!(code, Some(130), "the second signal was SIGINT");
    assert!(
        took < Duration::from_millis(1500),
        "{took:?}, and 3 s wait for the reader"
    );
}
