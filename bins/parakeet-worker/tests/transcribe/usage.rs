//! Exit codes and error texts of `transcribe`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{Run, SPEECH, TINY, project, run, transcribe};

#[track_caller]
pub(crate) fn check(args: &[&str], code: i32, stderr_has: &[&str]) -> Run {
    let run = run(transcribe().args(args));
    assert_eq!(run.code, Some(code), "{run:?}");
    for text in stderr_has {
        assert!(
            run.stderr.contains(text),
            "stderr lacks `{text}`:\n{}",
            run.stderr
        );
    }
    run
}

#[test]
fn a_good_call_prints_to_standard_output_alone() {
    let run = check(&["--model", TINY, SPEECH], 0, &[]);
    assert_eq!(run.stdout.lines().count(), 1);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_call_that_is_wrong_has_exit_code_2_and_prints_nothing() {
    let wrong: [(&[&str], &str); 12] = [
        (&[], "FILE"),
        (
            &["--format", "xml", SPEECH],
            "possible values: text, json, srt, vtt, ctm",
        ),
        (
            &["--device", "tpu", SPEECH],
            "possible values: auto, cpu, cuda",
        ),
        (
            &["--compute-type", "float64", SPEECH],
            "possible values: auto, float32, bfloat16, float16, int8, int8_float32",
        ),
        (
            &["--language", "", SPEECH],
            "expected a code such as de or de-AT",
        ),
        (
            &["--model", "a/b/c", SPEECH],
            "there is no folder a/b/c: `a/b/c` is no model's name",
        ),
        (&["--batch-size", "0", SPEECH], "1..=32"),
        (&["--threads", "0", SPEECH], "--threads"),
        (&["--batch-size", "33", SPEECH], "1..=32"),
        (
            &["--chunk-seconds", "0.5", SPEECH],
            "expected a number of seconds from 1 to 7200",
        ),
        (
            &["--segment-pause", "NaN", SPEECH],
            "expected a number of seconds above 0",
        ),
        (
            &["--model", TINY, "--tokens", SPEECH],
            "--tokens needs --format json",
        ),
    ];
    for (args, text) in wrong {
        assert_eq!(check(args, 2, &[text]).stdout, "");
    }
}

#[test]
fn a_chunk_longer_than_the_network_takes_is_refused_with_the_limit() {
    let args = ["--model", TINY, "--chunk-seconds", "3600", SPEECH];
    check(&args, 2, &["--chunk-seconds is 3600, expected at most 60"]);
}

#[test]
fn an_unknown_model_is_answered_with_those_there_are_and_the_command_that_makes_it() {
    let run = check(
        &["--model", "nvidia/no-such-model", SPEECH],
        2,
        &[
            "there is no model nvidia/no-such-model in /models or models; there is",
            TINY,
            "`cargo xtask export-model nvidia/no-such-model --out models/nvidia--no-such-model`",
        ],
    );
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn the_default_model_is_the_pipelines() {
    let empty = tempfile::tempdir().expect("a temporary folder can be made");
    let run = run(transcribe()
        .arg(SPEECH)
        .env("DALSTON_MODEL_DIR", empty.path()));
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr
            .contains("there is no model nvidia/parakeet-rnnt-0.6b in"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_model_is_found_by_setting_by_folder_and_by_default() {
    let expected = check(&["--model", TINY, SPEECH], 0, &[]).stdout;
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    let speech = project().join(SPEECH);
    let mut by_setting = transcribe();
    by_setting
        .current_dir(elsewhere.path())
        .args(["--model", TINY])
        .arg(&speech);
    by_setting.env("DALSTON_MODEL_DIR", project().join("models"));
    let mut by_folder = transcribe();
    by_folder
        .current_dir(elsewhere.path())
        .arg("--model")
        .arg(project().join("models").join(TINY));
    by_folder.arg(&speech);
    let mut by_default = transcribe();
    by_default.env("DALSTON_DEFAULT_MODEL", TINY).arg(&speech);
    for command in [&mut by_setting, &mut by_folder, &mut by_default] {
        let run = run(command);
        assert_eq!(
            (run.code, &run.stdout),
            (Some(0), &expected),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_language_that_the_model_does_not_know_is_a_warning_and_changes_nothing() {
    let args = ["--model", TINY, "--format", "json", SPEECH];
    let expected = check(&args, 0, &[]);
    assert_eq!(expected.stderr, "");
    let asked = check(
        &[&["--language", "de"], &args[..]].concat(),
        0,
        &["warning: parakeet-rnnt-tiny does not know the language de, only en"],
    );
    assert_eq!(asked.stdout, expected.stdout);
    let asked = check(&[&["--language", "en-GB"], &args[..]].concat(), 0, &[]);
    assert_eq!(
        (asked.stdout, asked.stderr),
        (expected.stdout, String::new())
    );
}

#[test]
fn a_damaged_bundle_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let args = ["--model", &broken_bundle(dir.path()), SPEECH];
    check(
        &args,
        1,
        &["broken/manifest.json is missing from the model bundle"],
    );
}

#[test]
fn a_compute_type_that_the_bundle_lacks_names_the_command() {
    let args = ["--model", TINY, "--compute-type", "float16", SPEECH];
    check(
        &args,
        1,
        &[
            "has no float16 archive",
            "cargo xtask export-model",
            "--dtype float32,float16",
        ],
    );
}

#[test]
fn files_that_fail_are_named_and_the_others_are_printed_in_order() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).expect("it can be written");
        path.to_str().expect("a temporary path is UTF-8").to_owned()
    };
    let (page, empty) = (
        file("page.wav", "<html>not found</html>"),
        file("empty.wav", ""),
    );
    let missing = "no/such/file.wav";
    let good = "tests/data/tiny-300/0001.flac";
    let run = check(
        &["--model", TINY, missing, SPEECH, &page, good, &empty],
        1,
        &[
            "error: no/such/file.wav: cannot read the audio file: No such file or directory",
            &format!("error: {page}: "),
            &format!("error: {empty}: the audio file is empty"),
        ],
    );
    assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
    let names: Vec<_> = run
        .stdout
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(names, [SPEECH, good]);
}

#[test]
fn a_folder_is_no_audio_and_no_crash() {
    check(
        &["--model", TINY, "tests/data", SPEECH],
        1,
        &["error: tests/data: cannot read the audio file: is a directory"],
    );
}

/// A bundle whose folder is found and whose model cannot be loaded.
fn broken_bundle(dir: &Path) -> String {
    let model = dir.join("broken");
    fs::create_dir(&model).expect("it can be made");
    model
        .to_str()
        .expect("a temporary path is UTF-8")
        .to_owned()
}

#[test]
fn a_missing_file_is_told_before_the_model_is_loaded() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let model = broken_bundle(dir.path());
    let run = check(&["--model", &model, "missing.wav", SPEECH], 1, &[]);
    let errors: Vec<_> = run.stderr.lines().collect();
    let [file, model] = errors[..] else {
        panic!("{errors:?}")
    };
    assert!(
        file.starts_with("error: missing.wav: cannot read the audio file: No such file"),
        "{file}"
    );
    assert!(model.contains("broken/manifest.json is missing"), "{model}");
}

#[test]
fn no_model_is_loaded_if_every_file_is_missing() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let model = broken_bundle(dir.path());
    let run = check(
        &["--model", &model, "missing.wav", "tests/data"],
        1,
        &["error: missing.wav: "],
    );
    assert!(!run.stderr.contains("manifest.json"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
}

#[test]
fn the_name_of_a_file_precedes_its_words_also_if_all_others_are_missing() {
    let run = check(&["--model", TINY, "missing.wav", SPEECH], 1, &[]);
    assert!(
        run.stdout.starts_with("tests/data/speech/jfk.wav: "),
        "{}",
        run.stdout
    );
}

#[test]
fn standard_input_is_a_file_called_dash() {
    let file = fs::File::open(project().join(SPEECH)).expect("it is part of the repository");
    let from_pipe = run(transcribe()
        .args(["--model", TINY, "-"])
        .stdin(Stdio::from(file)));
    assert_eq!(from_pipe.code, Some(0), "{from_pipe:?}");
    assert_eq!(
        from_pipe.stdout,
        check(&["--model", TINY, SPEECH], 0, &[]).stdout
    );
}

#[test]
fn stats_go_to_standard_error() {
    let args = [
        "--model",
        TINY,
        "--stats",
        "--batch-size",
        "2",
        SPEECH,
        SPEECH,
        SPEECH,
    ];
    let stderr = check(&args, 0, &[]).stderr;
    let value = |name: &str| {
        let line = stderr
            .lines()
            .find_map(|line| line.trim().strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{stderr}"));
        let value = line
            .split_whitespace()
            .next()
            .and_then(|value| value.trim_end_matches([',', ';']).parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("no number behind {name} in\n{stderr}"))
    };
    assert_eq!(value("audio "), 33.0);
    assert_eq!(value("batches"), 2.0);
    assert_eq!(value("chunks per batch"), 1.5);
    assert!(value("joint calls per token") > 0.0);
    assert!(value("RTFx") > 0.0);
    if cfg!(target_os = "linux") {
        assert!(value("peak memory") > 1.0);
        assert!(value("planned memory") > 1.0);
    }
}

#[test]
fn the_program_says_what_it_can_do() {
    let mut help = Command::new(env!("CARGO_BIN_EXE_parakeet-worker"));
    let run = run(help.args(["transcribe", "--help"]));
    assert_eq!(run.code, Some(0));
    for flag in [
        "--model",
        "--format",
        "--device",
        "--compute-type",
        "--batch-size",
        "--tokens",
        "--stats",
        "--chunk-seconds",
    ] {
        assert!(run.stdout.contains(flag), "no {flag} in\n{}", run.stdout);
    }
}
