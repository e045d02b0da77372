//! Each output format, read back as its readers read it.

use std::path::Path;

use crate::program::{Run, SPEECH, TINY, run, transcribe};
use serde_json::Value;

/// Two recordings that the tiny model knows, and one of several segments.
const FILES: [&str; 3] = [
    "tests/data/tiny-300/0001.flac",
    "tests/data/tiny-300/0294.flac",
    SPEECH,
];

fn printed(args: &[&str], files: &[&str]) -> String {
    let run = run(transcribe().args(["--model", TINY]).args(args).args(files));
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout
}

fn json(args: &[&str], files: &[&str]) -> Vec<Value> {
    let printed = printed(&[&["--format", "json"], args].concat(), files);
    printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("it is a list")
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("it is an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("it is a number")
}

fn words(object: &Value) -> Vec<&Value> {
    list(&object["segments"])
        .iter()
        .flat_map(|segment| list(&segment["words"]))
        .collect()
}

#[test]
fn json_is_one_object_per_file_in_the_shape_of_the_contract() {
    let objects = json(&[], &FILES);
    assert_eq!(
        objects
            .iter()
            .map(|it| it["file"].as_str())
            .collect::<Vec<_>>(),
        FILES.map(Some)
    );
    for object in &objects {
        let mut names = keys(object);
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "alignment_method",
                "confidence_method",
                "file",
                "language",
                "native_word_timestamps",
                "segments",
                "text"
            ]
        );
        assert_eq!(object["language"], "en");
        assert_eq!(object["native_word_timestamps"], true);
        assert_eq!(object["alignment_method"], "rnnt");
        let texts: Vec<_> = list(&object["segments"])
            .iter()
            .filter_map(|it| it["text"].as_str())
            .collect();
        assert_eq!(object["text"], texts.join(" "));
        assert!(!texts.is_empty(), "{object}");
        for segment in list(&object["segments"]) {
            let words = list(&segment["words"]);
            let texts: Vec<_> = words
                .iter()
                .filter_map(|word| word["word"].as_str())
                .collect();
            assert_eq!(segment["text"], texts.join(" "));
            assert_eq!(segment["start"], words[0]["start"]);
            assert_eq!(segment["end"], words[words.len() - 1]["end"]);
        }
        let mut now = 0.0;
        for word in words(object) {
            let (start, end) = (number(&word["start"]), number(&word["end"]));
            assert!(now <= start && start <= end, "{word} after {now}");
            assert_eq!(
                start,
                (start * 1000.0).round() / 1000.0,
                "whole milliseconds"
            );
            assert!((0.0..=1.0).contains(&number(&word["confidence"])), "{word}");
            now = end;
        }
    }
}

#[test]
fn tokens_spell_the_words_and_their_frames_are_the_words_times() {
    for object in json(&["--tokens"], &FILES) {
        let tokens = list(&object["tokens"]);
        let pieces: String = tokens
            .iter()
            .filter_map(|token| token["piece"].as_str())
            .collect();
        assert_eq!(
            pieces.replace('▁', " ").trim(),
            object["text"].as_str().expect("it is text")
        );
        let mut starts = words(&object)
            .into_iter()
            .map(|word| number(&word["start"]));
        for (at, token) in tokens.iter().enumerate() {
            assert_eq!(keys(token).len(), 5, "{token}");
            assert!(number(&token["log_prob"]) <= 0.0);
            // A bare mark begins a word if the next piece belongs to it.
            let next = tokens.get(at + 1).filter(|next| !begins_with_mark(next));
            if begins_with_mark(token) && (token["piece"] != "▁" || next.is_some()) {
                let start = starts.next().expect("a word starts here");
                let frame = number(&token["frame"]);
                assert!(
                    (start - frame * 0.08).abs() < 1e-9,
                    "{token} starts a word at {start}"
                );
            }
        }
        assert_eq!(starts.next(), None);
    }
}

fn begins_with_mark(token: &Value) -> bool {
    token["piece"]
        .as_str()
        .is_some_and(|piece| piece.starts_with('▁'))
}

#[test]
fn short_chunks_keep_the_order_of_tokens_and_words() {
    let object = json(&["--tokens", "--chunk-seconds", "3"], &FILES[1..2]).remove(0);
    let frames: Vec<_> = list(&object["tokens"])
        .iter()
        .map(|token| number(&token["frame"]))
        .collect();
    assert!(frames.is_sorted(), "{frames:?}");
    assert!(
        frames.last().is_some_and(|last| *last > 200.0),
        "frames count from the file's start"
    );
    let starts: Vec<_> = words(&object)
        .iter()
        .map(|word| number(&word["start"]))
        .collect();
    assert!(starts.is_sorted(), "{starts:?}");
}

#[test]
fn text_is_a_line_per_file_and_carries_names_only_when_there_are_several() {
    let objects = json(&[], &FILES);
    let expected: Vec<_> = objects
        .iter()
        .map(|it| it["text"].as_str().expect("it is text"))
        .collect();
    assert_eq!(printed(&[], &FILES[..1]), format!("{}\n", expected[0]));
    let lines: String = FILES
        .iter()
        .zip(&expected)
        .map(|(file, text)| format!("{file}: {text}\n"))
        .collect();
    assert_eq!(printed(&[], &FILES), lines);
}

#[test]
fn srt_has_a_cue_per_segment_numbered_from_1_in_every_file() {
    let objects = json(&[], &FILES);
    let mut expected = String::new();
    for object in &objects {
        for (number, segment) in (1..).zip(list(&object["segments"])) {
            let time = |name: &str| clock(&segment[name]).replace('.', ",");
            let text = segment["text"].as_str().expect("it is text");
            expected += &format!(
                "{number}\n{} --> {}\n{text}\n\n",
                time("start"),
                time("end")
            );
        }
    }
    assert_eq!(printed(&["--format", "srt"], &FILES), expected);
}

#[test]
fn vtt_has_a_header_per_file() {
    let mut expected = String::new();
    for object in &json(&[], &FILES) {
        expected += "WEBVTT\n\n";
        for segment in list(&object["segments"]) {
            let (start, end) = (clock(&segment["start"]), clock(&segment["end"]));
            let text = segment["text"].as_str().expect("it is text");
            expected += &format!("{start} --> {end}\n{text}\n\n");
        }
    }
    assert_eq!(printed(&["--format", "vtt"], &FILES), expected);
}

/// `HH:MM:SS.mmm` of a time below an hour.
fn clock(seconds: &Value) -> String {
    let ms = (number(seconds) * 1000.0).round() as u64;
    format!(
        "00:{:02}:{:02}.{:03}",
        ms / 60_000,
        ms / 1000 % 60,
        ms % 1000
    )
}

#[test]
fn ctm_has_six_columns_per_word() {
    let ctm = printed(&["--format", "ctm"], &FILES);
    let objects = json(&[], &FILES);
    let names = ["0001", "0294", "jfk"];
    let expected = objects
        .iter()
        .zip(names)
        .flat_map(|(it, name)| words(it).into_iter().map(move |word| (name, word)));
    let mut lines = ctm.lines();
    for (name, word) in expected {
        let columns: Vec<_> = lines.next().expect("a line per word").split(' ').collect();
        let [file, channel, start, duration, text, confidence] = columns[..] else {
            panic!("{columns:?}")
        };
        let parsed = |text: &str| text.parse::<f64>().expect("it is a number");
        assert_eq!(
            (file, channel, Some(text)),
            (name, "1", word["word"].as_str())
        );
        assert_eq!(parsed(start), number(&word["start"]));
        assert!((parsed(duration) - (number(&word["end"]) - number(&word["start"]))).abs() < 1e-9);
        assert!((parsed(confidence) - number(&word["confidence"])).abs() < 1e-4);
    }
    assert_eq!(lines.next(), None);
}

/// Writes so many seconds of 16-bit zeros: a header of 44 bytes, then data.
fn write_silence(seconds: u32, folder: &Path) -> String {
    let silence = folder.join("silence.wav");
    let n_bytes = seconds * 32_000;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + n_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    wav.extend(n_bytes.to_le_bytes());
    wav.resize(wav.len() + n_bytes as usize, 0);
    std::fs::write(&silence, wav).expect("it can be written");
    silence.to_str().expect("a temporary path is UTF-8").into()
}

#[test]
fn silence_has_no_segments_and_is_no_error() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let path = &*write_silence(600, dir.path());
    let object = json(&[], &[path]).remove(0);
    assert_eq!(
        (&object["text"], list(&object["segments"]).len()),
        (&Value::from(""), 0)
    );
    assert_eq!(printed(&[], &[path]), "\n");
    assert_eq!(printed(&["--format", "ctm"], &[path]), "");
}

#[test]
fn silence_is_passed_over_unless_it_is_to_be_heard() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let path = &*write_silence(40, dir.path());
    let n_calls = |flags: &[&str]| -> usize {
        let mut command = transcribe();
        command.args(["--model", TINY, "--stats"]).args(flags);
        let Run { code, stderr, .. } = run(command.arg(path));
        assert_eq!(code, Some(0), "{stderr}");
        let line = stderr.lines().find(|it| it.starts_with("batches"));
        let n = line.and_then(|it| it.split_whitespace().last()?.parse().ok());
        n.unwrap_or_else(|| panic!("no batches are counted in {stderr}"))
    };
    assert_eq!(n_calls(&[]), 0);
    assert!(n_calls(&["--hear-silence"]) > 0);
}
