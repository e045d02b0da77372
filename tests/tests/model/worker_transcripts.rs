//! A worker writes the transcript that `transcribe` prints, in every contract.

use std::time::Duration;

use e2e_tests::parakeet::{self, TINY};
use e2e_tests::pipeline::{Pipeline, check_no_secrets};
use e2e_tests::{Contract, Task, isolation};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(120);

#[test]
fn a_task_gives_the_words_of_the_command_line() {
    let _guard = isolation::shared();
    let recordings = parakeet::recordings([1, 12, 64, 75, 189, 294]);
    let transcribed = parakeet::transcribed(&recordings);
    let n_words: usize = transcribed.iter().map(|it| words(it, "word").len()).sum();
    assert!(n_words > 20, "{n_words} words compare nothing");
    for contract in Contract::ALL {
        let mut pipeline = Pipeline::start(contract);
        let mut settings = parakeet::settings(&pipeline, "worker");
        // The command line does not limit the text of a segment.
        let no_limit = ("DALSTON_MAX_SEGMENT_CHARS", "0".to_owned());
        settings.more.push(no_limit);
        let worker = parakeet::start(&settings);
        let tasks = pipeline.submit_recordings(&recordings, |task| task);
        pipeline.check_ended_once(&tasks, TIMEOUT);
        for (task, expected) in tasks.iter().zip(&transcribed) {
            check(contract, &pipeline.output(task), expected);
        }
        check_no_secrets(&worker);
        let lines = parakeet::logged(&worker, "transcription_complete");
        let logged: Vec<_> = lines.iter().map(|line| line["task_id"].as_str()).collect();
        let ids: Vec<_> = tasks.iter().map(|task| Some(&*task.task_id)).collect();
        assert_eq!(logged, ids, "every line of the engine's log names its task");
    }
}

/// Checks the output of a contract against the output of the command line.
#[track_caller]
fn check(contract: Contract, data: &Value, expected: &Value) {
    if contract == Contract::M22 {
        // `--format json` prints this object, with the field `alignment_method` added.
        let mut expected = expected.clone();
        let object = expected.as_object_mut().expect("it is an object");
        assert_eq!(object.remove("alignment_method"), Some(json!("rnnt")));
        assert_eq!(*data, expected);
        return;
    }
    assert_eq!(data["text"], expected["text"]);
    assert_eq!(words(data, "text"), words(expected, "word"));
    assert_eq!(data["language"], "en");
    assert_eq!(data["engine_id"], "scripted");
    let of_segments = |data: &Value| -> Vec<Value> {
        let segments = data["segments"].as_array().expect("it has segments");
        let shape = |it: &Value| json!([it["start"], it["end"], it["text"]]);
        segments.iter().map(shape).collect()
    };
    assert_eq!(of_segments(data), of_segments(expected));
    assert!(
        data["duration"].as_f64().is_some_and(|it| it > 0.5),
        "{data}"
    );
    for segment in data["segments"].as_array().expect("it has segments") {
        assert_eq!(segment["words"][0]["alignment_method"], "rnnt");
        assert!(segment["confidence"].is_f64(), "{segment}");
        if contract == Contract::Streams {
            assert_eq!(segment["metadata"]["confidence"], segment["confidence"]);
        }
    }
}

/// Text, times and confidence of every word.
fn words(data: &Value, name: &str) -> Vec<Value> {
    let segments = data["segments"].as_array().expect("it has segments");
    let words = segments
        .iter()
        .flat_map(|it| it["words"].as_array().expect("it has words"));
    let word = |it: &Value| json!([it[name], it["start"], it["end"], it["confidence"]]);
    words.map(word).collect()
}

#[test]
fn a_channels_task_says_its_channel_and_a_language_is_never_relabelled() {
    let _guard = isolation::shared();
    let recordings = parakeet::recordings([12]);
    let mut pipeline = Pipeline::start(Contract::Streams);
    let worker = parakeet::start(&parakeet::settings(&pipeline, "worker"));
    let of_channel = |mut task: Task| {
        task.stage = "transcribe_ch1".to_owned();
        task.with("channel", 1).with("language", "de")
    };
    let tasks = pipeline.submit_recordings(&recordings, of_channel);
    pipeline.check_ended_once(&tasks, TIMEOUT);
    let data = pipeline.output(&tasks[0]);
    assert_eq!(
        (&data["channel"], &data["language"]),
        (&json!(1), &json!("en"))
    );
    assert_eq!(data["language_source"], Value::Null);
    let warning = data["warnings"][0].as_str().unwrap_or_default();
    assert!(
        warning.starts_with("Engine 'scripted' cannot force language 'de'; "),
        "{warning}"
    );

    let (status, page) = worker.page("/v1/capabilities").expect("it answers");
    let capabilities: Value = serde_json::from_str(&page).expect("it is JSON");
    assert_eq!(status, 200);
    assert_eq!(capabilities["supports_word_timestamps"], true);
    assert_eq!(capabilities["supports_language_forcing"], false);
    assert_eq!(capabilities["model_variants"], json!([TINY]));
    let (_, page) = worker.page("/health").expect("it answers");
    let health: Value = serde_json::from_str(&page).expect("it is JSON");
    assert_eq!(
        (&health["model_loaded"], &health["device"]),
        (&json!(true), &json!("cpu"))
    );
    assert_eq!(health["models_loaded"], json!([TINY]));
    assert_eq!(health["gpu_memory_total"], "0GB", "a CPU has none");
}

#[test]
fn a_task_says_where_its_segments_end() {
    let _guard = isolation::shared();
    const PAUSE: f64 = 0.2;
    const LENGTH: f64 = 1.0;
    let mut pipeline = Pipeline::start(Contract::Streams);
    let _worker = parakeet::start(&parakeet::settings(&pipeline, "worker"));
    let settings = [
        None,
        Some(("segment_pause", PAUSE)),
        Some(("segment_length", LENGTH)),
    ];
    let mut settings = settings.into_iter();
    let tasks = pipeline.submit_recordings(&parakeet::recordings([75; 3]), |task| {
        match settings.next().flatten() {
            Some((key, value)) => task.with(key, value),
            None => task,
        }
    });
    pipeline.check_ended_once(&tasks, TIMEOUT);

    let outputs: Vec<_> = tasks.iter().map(|task| pipeline.output(task)).collect();
    let [plain, paused, short] = outputs.as_slice() else {
        unreachable!("an output for each task")
    };
    assert_eq!(words(plain, "text"), words(paused, "text"));
    assert_eq!(words(plain, "text"), words(short, "text"));
    // By default there is one segment, which either setting divides.
    assert!(widest_gap(plain) > PAUSE && longest_segment(plain) > LENGTH);
    assert!(widest_gap(paused) < PAUSE, "{paused}");
    assert!(longest_segment(short) <= LENGTH, "{short}");
}

/// Dalston's SRT and VTT show 42 characters in each of two lines and drop the rest of a segment.
#[test]
fn a_segment_of_a_task_has_no_more_text_than_dalstons_subtitles_show() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::Streams);
    let _worker = parakeet::start(&parakeet::settings(&pipeline, "worker"));
    let mut limits = [None, Some(0), Some(40)].into_iter();
    let tasks = pipeline.submit_recordings(&parakeet::recordings([294; 3]), |task| {
        match limits.next().flatten() {
            Some(limit) => task.with("max_segment_chars", limit),
            None => task,
        }
    });
    pipeline.check_ended_once(&tasks, TIMEOUT);
    let outputs: Vec<_> = tasks.iter().map(|task| pipeline.output(task)).collect();
    let [by_default, unlimited, short] = outputs.as_slice() else {
        unreachable!("an output for each task")
    };
    for output in [by_default, short] {
        assert_eq!(words(output, "text"), words(unlimited, "text"));
    }
    assert!(longest_text(by_default) <= 80, "{by_default}");
    assert!(longest_text(unlimited) > 84, "{unlimited}");
    assert!(longest_text(short) <= 40, "{short}");
}

/// Characters of the segment with the most text.
fn longest_text(data: &Value) -> usize {
    let segments = data["segments"].as_array().expect("it has segments");
    let texts = segments
        .iter()
        .filter_map(|segment| segment["text"].as_str());
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// Seconds of the widest gap between two words of one segment.
fn widest_gap(data: &Value) -> f64 {
    let segments = data["segments"].as_array().expect("it has segments");
    let gaps = segments.iter().flat_map(|segment| {
        let words = segment["words"].as_array().expect("it has words");
        let gap = |pair: &[Value]| seconds(&pair[1]["start"]) - seconds(&pair[0]["end"]);
        words.windows(2).map(gap)
    });
    gaps.fold(0.0, f64::max)
}

/// Seconds of the longest segment.
fn longest_segment(data: &Value) -> f64 {
    let segments = data["segments"].as_array().expect("it has segments");
    let lengths = segments
        .iter()
        .map(|segment| seconds(&segment["end"]) - seconds(&segment["start"]));
    lengths.fold(0.0, f64::max)
}

fn seconds(time: &Value) -> f64 {
    time.as_f64().expect("times are numbers")
}
