//! At least 60 hostile files: each gives samples or an error, and none ends the process.
//!
//! A child process reads each file, so that an abort or an endless loop fails one case and not the run. The
//! table in `answers.md`, in the same folder, has the expected answers; `UPDATE_EXPECT=1` rewrites it.

#![allow(
    clippy::disallowed_methods,
    reason = "a test and its child process speak through the environment"
)]

mod containers;
mod streams;
mod wave;
pub(crate) mod whatever;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dalston_engine_sdk::audio::{self, AudioLimits};

use crate::recording_bytes;
use whatever::noise;

/// A file, and its name in the table.
struct Case {
    kind: String,
    bytes: Vec<u8>,
}

fn case(kind: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Case {
    Case {
        kind: kind.into(),
        bytes: bytes.into(),
    }
}

/// Longest wall-clock time for one file, with the start of the process. A file takes milliseconds, but the
/// machine may be busy.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Most memory above that of the idle process, in KiB.
const MAX_GROWTH_KIB: u64 = 200 * 1024;

/// Longest audio that the test reads, in seconds: twenty minutes of samples are 77 MB, below the limit on
/// memory.
const MAX_DURATION_S: f64 = 1_200.0;

/// The variable that names the file which a child process reads.
const FILE: &str = "HOSTILE_FILE";

const BEGIN: &str = "<!-- hostile audio: begin -->\n";
const END: &str = "<!-- hostile audio: end -->\n";

#[cfg(target_os = "linux")]
#[test]
fn every_hostile_file_is_answered_as_documented_in_little_time_and_memory() {
    if let Some(path) = std::env::var_os(FILE) {
        return answer_parent(path.as_ref());
    }
    let cases: Vec<Case> = [
        whatever::cases(),
        wave::cases(),
        streams::cases(),
        containers::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile");
    let mut table = String::from("| File | Answer |\n|---|---|\n");
    let mut largest = (0, String::new());
    for Case { kind, bytes } in cases {
        std::fs::write(&path, bytes).unwrap();
        let Answer { text, growth_kib } = ask_child(&kind, &path);
        assert!(
            growth_kib <= MAX_GROWTH_KIB,
            "{kind}: took {growth_kib} KiB"
        );
        writeln!(table, "| {kind} | {text} |").unwrap();
        largest = largest.max((growth_kib, kind));
    }
    println!("largest growth: {} KiB, by {}", largest.0, largest.1);

    let document = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/audio/hostile/answers.md"
    );
    let text = std::fs::read_to_string(document).unwrap();
    let (head, rest) = text
        .split_once(BEGIN)
        .expect("answers.md has the table's first mark");
    let (documented, tail) = rest
        .split_once(END)
        .expect("answers.md has the table's last mark");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(document, [head, BEGIN, &table, END, tail].concat()).unwrap();
    } else {
        // Line by line, because nobody reads the difference of two long texts.
        for (documented, actual) in documented.lines().zip(table.lines()) {
            assert_eq!(
                documented, actual,
                "UPDATE_EXPECT=1 takes the new answers over"
            );
        }
        assert_eq!(
            documented.len(),
            table.len(),
            "UPDATE_EXPECT=1 takes the new cases over"
        );
    }
}

/// The answer of a child process about one file.
struct Answer {
    text: String,
    growth_kib: u64,
}

/// Runs this test binary again, as a child process that reads the file.
fn ask_child(kind: &str, path: &Path) -> Answer {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "hostile::every_hostile_file_is_answered_as_documented_in_little_time_and_memory",
            "--nocapture",
        ])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > WATCHDOG {
            child.kill().unwrap();
            panic!("{kind}: no answer within {WATCHDOG:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{kind}: {}\n{stdout}",
        output.status
    );
    let field = |name: &str| {
        stdout
            .lines()
            .find_map(|line| line.split_once(name))
            .unwrap()
            .1
    };
    Answer {
        text: field("answer: ").to_owned(),
        growth_kib: field("growth: ").parse().unwrap(),
    }
}

/// The child process's part: reads the file, and prints the answer and the growth of its memory.
fn answer_parent(path: &Path) {
    let limits = AudioLimits {
        max_duration_s: MAX_DURATION_S,
        ..AudioLimits::default()
    };
    let idle_kib = peak_memory_kib();
    let answer = match audio::load(path, &limits) {
        Ok(waveform) => {
            assert!(
                waveform.samples.iter().all(|x| x.abs() <= 1.0),
                "a sample is out of range"
            );
            let mut answer = format!("{:.2} s", waveform.duration_s());
            for warning in &waveform.warnings {
                write!(answer, "; {warning}").unwrap();
            }
            answer
        }
        Err(err) => format!("error: {err}"),
    };
    println!(
        "\nanswer: {answer}\ngrowth: {}",
        peak_memory_kib() - idle_kib
    );
}

/// The most memory that this process has held, in KiB.
fn peak_memory_kib() -> u64 {
    dalston_engine_sdk::memory::peak_bytes().unwrap() / 1024
}

/// Overwrites bytes at `offset` after the first occurrence of `name`.
#[track_caller]
fn patch(mut bytes: Vec<u8>, name: &[u8], offset: usize, new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(name.len()).position(|window| window == name);
    let at = at.expect("the recording has what is to be overwritten") + name.len() + offset;
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

/// Cases of a recording that is cut at several places, or has random bytes in it.
fn cut_and_broken(name: &str, file: &str) -> Vec<Case> {
    let bytes = recording_bytes(file);
    let mut cases: Vec<Case> = [1, 10, 50, 90]
        .map(|percent| {
            let kept = &bytes[..bytes.len() * percent / 100];
            case(format!("{name}, cut after {percent} %"), kept)
        })
        .into();
    let mut broken = bytes.clone();
    // After the headers of all recordings.
    let place = bytes.len() * 7 / 10;
    let garbage = noise(400, 9);
    broken[place..place + garbage.len()].copy_from_slice(&garbage);
    cases.push(case(format!("{name}, 400 bytes overwritten"), broken));
    let (head, tail) = bytes.split_at(place);
    let inserted = [head, &noise(5_000, 10), tail].concat();
    cases.push(case(format!("{name}, 5000 bytes inserted"), inserted));
    cases
}
