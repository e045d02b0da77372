//! Chooses the build of PyTorch: the one with CUDA's libraries, or the one for CPUs, a tenth of its size.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cli::TorchBuild;
use crate::libtorch::VERSION;
use crate::process::{capture, capture_within};
use crate::programs::on_path;
use crate::project::Project;
use crate::venv::Venv;

/// PyTorch's own package index of the builds for CPUs. <https://pytorch.org/get-started/locally/> names it.
const CPU_INDEX: &str = "https://download.pytorch.org/whl/cpu";

/// The time for one answer of an index. Behind a firewall that drops packets nothing answers, and set-up should
/// then go on. The page that is asked for has some hundred kilobytes.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The options of the question. pip tries one connection, for five seconds.
const ONE_TRY: [&str; 5] = [
    "--disable-pip-version-check",
    "--timeout",
    "5",
    "--retries",
    "0",
];

/// The build that a machine needs when the user names none: CUDA's if there is an NVIDIA driver.
pub(crate) fn needed_here() -> TorchBuild {
    // WSL has the program and not the file.
    let has_driver =
        Path::new("/proc/driver/nvidia/version").exists() || on_path("nvidia-smi").is_some();
    if has_driver {
        TorchBuild::Cuda
    } else {
        TorchBuild::Cpu
    }
}

/// The arguments of `pip install` that install torch's build for CPUs, without its dependencies. `None` if no
/// index offers that build, or the system has only one build.
///
/// If pip is set to use an index, by a variable or by its configuration, then that index is asked and no other:
/// a user with an index of their own often reaches nothing else.
///
/// # Errors
///
/// When pip cannot list its settings.
pub(crate) fn cpu_build(project: &Project, venv: &Venv) -> Result<Option<Vec<String>>> {
    if cfg!(not(target_os = "linux")) {
        return Ok(None);
    }
    let pip = || {
        let mut python = venv.python(project);
        python.args(["-m", "pip"]);
        python
    };
    let settings = capture(pip().args(["config", "list", "--disable-pip-version-check"]))?;
    let index: &[&str] = if names_an_index(&settings) {
        &[]
    } else {
        &["--index-url", CPU_INDEX]
    };
    project.announce("asking for torch without CUDA, a tenth of the download");
    let mut question = pip();
    question.args(["index", "versions", "torch"]);
    question.args(index).args(ONE_TRY);
    let wanted = format!("{VERSION}+cpu");
    let answer = capture_within(&mut question, ANSWER_WITHIN).unwrap_or_default();
    Ok(has_version(&answer, &wanted).then(|| {
        let requirement = format!("torch=={wanted}");
        let arguments = ["--no-deps"].iter().chain(index);
        let arguments = arguments.map(|argument| (*argument).to_owned());
        arguments.chain([requirement]).collect()
    }))
}

/// Checks that the system can have this build at all.
///
/// # Errors
///
/// When PyTorch has no such build for this system.
pub(crate) fn check_system(build: Option<TorchBuild>) -> Result<()> {
    ensure!(
        build != Some(TorchBuild::Cuda) || cfg!(target_os = "linux"),
        "PyTorch has a build with CUDA for Linux only: leave out --torch cuda"
    );
    Ok(())
}

/// Whether the output of `pip config list` names a package index. Lines are `global.index-url='...'`,
/// `install.extra-index-url='...'` or, for PIP_INDEX_URL, `:env:.index-url='...'`.
fn names_an_index(settings: &str) -> bool {
    let keys = settings.lines().filter_map(|line| line.split_once('='));
    let names = keys.filter_map(|(key, _)| key.rsplit('.').next());
    let mut names = names.map(|name| name.replace('_', "-"));
    names.any(|name| matches!(&*name, "index-url" | "extra-index-url" | "no-index"))
}

/// Whether the output of `pip index versions` lists a version. A further line of that output has the installed
/// version, which the index may lack.
fn has_version(answer: &str, wanted: &str) -> bool {
    let versions = answer
        .lines()
        .find_map(|line| line.strip_prefix("Available versions:"));
    versions.is_some_and(|list| list.split(',').any(|version| version.trim() == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_may_be_named_by_a_variable_a_file_or_a_section_of_it() {
        assert!(names_an_index(":env:.index-url='https://a.example'\n"));
        assert!(names_an_index("global.extra-index-url='https://a.example'"));
        assert!(names_an_index(
            "install.extra_index_url='https://a.example'"
        ));
        assert!(names_an_index("global.cert='/a'\nglobal.no-index='true'\n"));
    }

    #[test]
    fn other_settings_name_no_index() {
        assert!(!names_an_index(""));
        assert!(!names_an_index(
            ":env:.find-links='/a'\nglobal.cert='/index-url'\nglobal.trusted-host='a.example'\n"
        ));
    }

    #[test]
    fn the_installed_version_is_no_offer() {
        let answer =
            "torch (2.11.0)\nAvailable versions: 2.11.0, 2.10.0\n  INSTALLED: 2.11.0+cpu\n";
        assert!(has_version(answer, "2.11.0"));
        assert!(!has_version(answer, "2.11.0+cpu"));
    }

    #[test]
    fn only_the_very_version_is_an_offer() {
        let answer = "torch (2.12.0+cpu)\nAvailable versions: 2.12.0+cpu, 2.11.0+cpu, 2.10.0+cpu\n";
        assert!(has_version(answer, "2.11.0+cpu"));
        assert!(!has_version(answer, "2.11.0"));
        assert!(!has_version("", "2.11.0+cpu"));
    }
}
