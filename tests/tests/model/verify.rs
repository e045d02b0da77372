//! `cargo xtask verify` on the tiny checkpoint, which a local hub serves.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use e2e_tests::{isolation, parakeet, project, test_set};

const REPOSITORY: &str = "someone/parrot";
const CHECKPOINT: &str = "models/parakeet-rnnt-tiny/parakeet-rnnt-tiny.nemo";

/// Number of recordings: with so many, a single wrong word is far below 5 %.
const N_FAMILIAR: usize = 20;

/// A server that replaces the hub. It ends when its standard input is closed.
struct LocalHub {
    server: Child,
    address: String,
}

impl LocalHub {
    fn start() -> Self {
        let mut server = Command::new(project().join(".venv-hub/bin/python"))
            .arg(project().join("xtask/python/tests/exporter/local_hub.py"))
            .arg(format!(
                "{REPOSITORY}={}",
                project().join(CHECKPOINT).display()
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the hub's client is installed: `cargo xtask test` does it");
        let mut address = String::new();
        let output = server.stdout.take().expect("it is a pipe");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("the server says where it is");
        Self {
            server,
            address: address.trim().to_owned(),
        }
    }
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

fn verify(hub: &LocalHub, home: &Path, more: &[&str]) -> Output {
    Command::new("cargo")
        .args(["xtask", "verify", REPOSITORY, "--dtype", "float32"])
        .arg("--worker")
        .arg(parakeet::program())
        .args(more)
        .current_dir(project())
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HOME", home.join("hub"))
        .env("DALSTON_MODEL_DIR", home.join("models"))
        .env("NO_PROXY", "*")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .output()
        .expect("cargo can be started")
}

/// Writes a table of recordings whose vocabulary the tiny model knows.
fn familiar_recordings(folder: &Path) {
    fs::create_dir(folder).expect("it can be made");
    let mut table = "file\tseconds\ttranscript\n".to_owned();
    for recording in test_set().iter().take(N_FAMILIAR) {
        let spoken: Vec<_> = recording.words.iter().map(|it| it.word.as_str()).collect();
        let file = recording.path.display();
        table += &format!("{file}\t{}\t{}\n", recording.duration, spoken.join(" "));
    }
    fs::write(folder.join("transcripts.tsv"), table).expect("it can be written");
}

#[track_caller]
fn says(output: &Output, line: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.lines().any(|it| it.starts_with(line)),
        "no line starts with {line:?}:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_model_that_keeps_its_promises_passes_and_one_that_mishears_fails() {
    let _guard = isolation::shared();
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let hub = LocalHub::start();

    let familiar = home.path().join("familiar");
    familiar_recordings(&familiar);
    let passed = verify(
        &hub,
        home.path(),
        &["--recordings", &familiar.display().to_string()],
    );
    for line in [
        "ok       the hub's checkpoint is whole: 0.01 GB, SHA-256 as the hub states",
        "ok       it becomes a bundle: float32",
        "ok       the model loads and transcribes: 20 recordings",
        "ok       every recording gives text and words with times",
        "ok       the output has the plan's shape",
        "ok       native_word_timestamps is true",
        "ok       words run forward, inside segment and audio",
        "ok       at most 5 % of the words are wrong",
        "ok       a missing GPU is named",
        "not run  switching models keeps the words of each",
        "not run  Dalston leaves its ALIGN stage out",
    ] {
        says(&passed, line);
    }
    assert_eq!(passed.status.code(), Some(0));

    // Real speech, whose words are not in the tiny model's vocabulary.
    let failed = verify(&hub, home.path(), &[]);
    says(
        &failed,
        "ok       words run forward, inside segment and audio",
    );
    says(&failed, "FAILED   at most 5 % of the words are wrong");
    assert_eq!(failed.status.code(), Some(1));
}
