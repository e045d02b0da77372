//! `cargo xtask setup` in an empty checkout, with a script in the place of Python and pip: two commands at once,
//! killed commands, and the choice of torch's build.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Stands for `python3`, the module venv and pip. `$FAKE` is its folder, in which `settings` is what pip's
/// configuration says, `versions` what the asked index offers, and `hold` makes `pip install` wait.
///
/// A second `pip install` at the same time fails, as two that write the same files may do.
const PYTHON: &str = r#"#!/bin/sh
set -eu
echo "$*" >> "$FAKE/calls"
case "$*" in
"-c "*) echo 3.11 ;;
"--version") echo "Python 3.11.0" ;;
"-m venv --clear .venv")
    rm -rf .venv
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    ;;
"-m pip config list"*) [ ! -e "$FAKE/settings" ] || cat "$FAKE/settings" ;;
"-m pip index versions torch"*) cat "$FAKE/versions" ;;
"-m pip install"*)
    mkdir "$FAKE/busy"
    echo $$ > "$FAKE/pip"
    torch=.venv/lib/python3.11/site-packages/torch
    mkdir -p "$torch/lib"
    case "$*" in
    *torch==2.11.0+cpu*) echo "__version__ = '2.11.0+cpu'" > "$torch/version.py" ;;
    *)
        if [ ! -e "$torch/version.py" ]; then
            echo "__version__ = '2.11.0'" > "$torch/version.py"
            [ -e "$FAKE/without-cuda" ] || touch "$torch/lib/libtorch_cuda.so"
        fi
        ;;
    esac
    while [ -e "$FAKE/hold" ]; do sleep 0.05; done
    rmdir "$FAKE/busy"
    ;;
*)
    echo "unexpected: $*" >&2
    exit 2
    ;;
esac
"#;

/// What an index with torch's build for CPUs answers.
const OFFER: &str = "torch (2.11.0+cpu)\nAvailable versions: 2.11.0+cpu, 2.10.0+cpu\n";

/// An empty checkout and the folder of the script, which are removed at the end of the test.
struct Checkout(PathBuf);

impl Checkout {
    fn new(test: &str) -> Self {
        let root = std::env::temp_dir().join(format!("xtask-setup-{}-{test}", std::process::id()));
        let checkout = Self(root);
        fs::create_dir_all(checkout.0.join("xtask")).unwrap();
        fs::create_dir_all(checkout.fake("bin")).unwrap();
        // A disk of unknown size is large enough.
        for (name, script) in [("python3", PYTHON), ("df", "#!/bin/sh\n")] {
            let path = checkout.fake("bin").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        checkout
    }

    /// A path in the folder of the script.
    fn fake(&self, name: &str) -> PathBuf {
        self.0.join("fake").join(name)
    }

    fn give(&self, name: &str, text: &str) {
        fs::write(self.fake(name), text).unwrap();
    }

    fn start(&self, options: &str) -> Child {
        let path = format!("{}:/usr/bin:/bin", self.fake("bin").display());
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        xtask
            .arg("setup")
            .args(options.split_whitespace())
            .env("CARGO_MANIFEST_DIR", self.0.join("xtask"))
            .env("FAKE", self.fake(""))
            .env("PATH", path)
            .env("CXX", "true")
            .env_remove("LIBTORCH")
            .env_remove("CARGO_TARGET_DIR")
            .stderr(Stdio::piped());
        xtask.spawn().unwrap()
    }

    /// Runs set-up to its end. Returns whether it succeeded, and its standard error.
    fn setup(&self, options: &str) -> (bool, String) {
        let output = self.start(options).wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), stderr)
    }

    /// The calls of `pip install`, without the options that all have.
    fn installs(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.fake("calls")).unwrap();
        let installs = calls.lines().filter_map(|call| {
            call.strip_prefix("-m pip install --disable-pip-version-check --no-input ")
        });
        installs.map(str::to_owned).collect()
    }

    fn until_pip_works(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.fake("pip").exists() {
            assert!(Instant::now() < end, "pip has not started");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn assert_complete(&self) {
        let stamp = fs::read_to_string(self.0.join(".venv/installed.txt")).unwrap();
        assert!(
            stamp.starts_with("Python 3.11.0\ntorch==2.11.0\n"),
            "{stamp}"
        );
        let lib = self.0.join(".libtorch/lib");
        assert!(lib.is_dir(), "{} leads nowhere", lib.display());
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // After a failure, a waiting pip ends as well.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads the standard error until a line that contains `text`; returns the lines.
fn read_until(stderr: &mut impl BufRead, text: &str) -> String {
    let mut lines = String::new();
    while stderr.read_line(&mut lines).unwrap() > 0 {
        if lines.lines().last().is_some_and(|line| line.contains(text)) {
            return lines;
        }
    }
    panic!("the command ended without {text:?}:\n{lines}");
}

fn kill(id: impl ToString) {
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-9", &id.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// The process id of the `pip install` at work.
fn pip(checkout: &Checkout) -> String {
    let id = fs::read_to_string(checkout.fake("pip")).unwrap();
    id.trim().to_owned()
}

const DEFAULT: &str = "torch==2.11.0 numpy>=1.26 PyYAML>=6 sentencepiece>=0.2";

#[test]
fn of_two_commands_at_once_one_waits_and_both_succeed() {
    let checkout = Checkout::new("two");
    checkout.give("hold", "");
    let mut first = checkout.start("");
    checkout.until_pip_works();
    let mut second = checkout.start("");
    let mut stderr = BufReader::new(second.stderr.take().unwrap());
    let lines = read_until(&mut stderr, "waiting: ");
    let holder = format!(
        "`cargo xtask setup` (process {}), or what it started, is at work on .venv",
        first.id()
    );
    assert!(lines.contains(&holder), "{lines}");
    assert!(!checkout.0.join(".venv/installed.txt").exists());
    fs::remove_file(checkout.fake("hold")).unwrap();
    assert!(first.wait().unwrap().success());
    read_until(&mut stderr, "ready: ");
    assert!(second.wait().unwrap().success());
    assert_eq!(checkout.installs(), [DEFAULT]);
    checkout.assert_complete();
}

#[test]
fn what_a_killed_command_left_half_made_is_made_again() {
    let checkout = Checkout::new("killed");
    checkout.give("hold", "");
    let mut first = checkout.start("");
    checkout.until_pip_works();
    kill(first.id());
    kill(pip(&checkout));
    first.wait().unwrap();
    fs::remove_file(checkout.fake("hold")).unwrap();
    fs::remove_dir(checkout.fake("busy")).unwrap();
    let (succeeded, stderr) = checkout.setup("");
    assert!(succeeded, "{stderr}");
    assert_eq!(checkout.installs(), [DEFAULT, DEFAULT]);
    checkout.assert_complete();
}

#[test]
fn a_pip_that_outlives_its_command_is_waited_for() {
    let checkout = Checkout::new("orphan");
    checkout.give("hold", "");
    let mut first = checkout.start("");
    checkout.until_pip_works();
    kill(first.id());
    first.wait().unwrap();
    let mut second = checkout.start("");
    let mut stderr = BufReader::new(second.stderr.take().unwrap());
    read_until(&mut stderr, "waiting: ");
    fs::remove_file(checkout.fake("hold")).unwrap();
    read_until(&mut stderr, "ready: ");
    assert!(second.wait().unwrap().success());
    checkout.assert_complete();
}

#[test]
fn a_second_run_calls_no_pip() {
    let checkout = Checkout::new("again");
    assert!(checkout.setup("").0);
    checkout.give("calls", "");
    assert!(checkout.setup("").0);
    let calls = fs::read_to_string(checkout.fake("calls")).unwrap();
    assert_eq!(calls, "--version\n");
}

/// macOS has one build.
#[cfg(target_os = "linux")]
mod torch_build {
    use super::*;

    #[test]
    fn the_build_for_cpus_comes_from_pytorchs_index() {
        let checkout = Checkout::new("cpu");
        checkout.give("versions", OFFER);
        let (succeeded, stderr) = checkout.setup("--torch cpu");
        assert!(succeeded, "{stderr}");
        let cpu = "--no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.11.0+cpu";
        assert_eq!(checkout.installs(), [cpu, DEFAULT]);
        checkout.assert_complete();
    }

    #[test]
    fn an_index_of_the_user_is_asked_instead() {
        let checkout = Checkout::new("own");
        checkout.give(
            "settings",
            ":env:.index-url='https://index.example/simple'\n",
        );
        checkout.give("versions", OFFER);
        let (succeeded, stderr) = checkout.setup("--torch cpu");
        assert!(succeeded, "{stderr}");
        assert_eq!(
            checkout.installs(),
            ["--no-deps torch==2.11.0+cpu", DEFAULT]
        );
        let calls = fs::read_to_string(checkout.fake("calls")).unwrap();
        assert!(!calls.contains("download.pytorch.org"), "{calls}");
    }

    #[test]
    fn without_a_build_for_cpus_the_default_comes_with_one_sentence() {
        let checkout = Checkout::new("fallback");
        let (succeeded, stderr) = checkout.setup("--torch cpu");
        assert!(succeeded, "{stderr}");
        let sentence = "no index offers torch for CPUs alone: taking the one with CUDA";
        assert_eq!(stderr.matches(sentence).count(), 1, "{stderr}");
        assert_eq!(checkout.installs(), [DEFAULT]);

        // It is there already, so it is not installed again.
        let (succeeded, stderr) = checkout.setup("--torch cpu");
        assert!(
            succeeded && stderr.contains(".venv stays as it is"),
            "{stderr}"
        );
        assert_eq!(checkout.installs(), [DEFAULT]);
    }

    #[test]
    fn another_build_replaces_the_installed_one_and_no_wish_keeps_it() {
        let checkout = Checkout::new("switch");
        checkout.give("versions", OFFER);
        let cuda = checkout.0.join(".libtorch/lib/libtorch_cuda.so");
        assert!(checkout.setup("--torch cuda").0 && cuda.exists());
        assert!(checkout.setup("--torch cpu").0 && !cuda.exists());
        let n_installs = checkout.installs().len();
        assert!(checkout.setup("").0 && !cuda.exists());
        assert_eq!(checkout.installs().len(), n_installs);
        assert!(checkout.setup("--torch cuda").0 && cuda.exists());
    }

    #[test]
    fn an_index_without_cuda_is_named_when_cuda_is_wanted() {
        let checkout = Checkout::new("without-cuda");
        checkout.give("without-cuda", "");
        let (succeeded, stderr) = checkout.setup("--torch cuda");
        assert!(!succeeded);
        assert!(
            stderr.contains("pip's index gave a torch without CUDA"),
            "{stderr}"
        );
    }
}
