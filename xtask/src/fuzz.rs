//! `cargo xtask fuzz`: libFuzzer on the functions of the package `fuzz`, with the stable compiler.
//!
//! `cargo fuzz` needs a nightly compiler for its sanitizers. Coverage needs none: with the flags below, the
//! stable compiler reports to libFuzzer which code an input reached.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cli::FuzzArguments;
use crate::process::{capture, run as run_command};
use crate::project::Project;
use crate::setup;

/// Counters per edge and the values of comparisons, both read by libFuzzer. No sanitizer.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// The folder for everything that a run writes: the program, the inputs that reach new code, the findings.
const FOLDER: &str = "target/fuzz";

/// Builds a target with coverage, and runs the target on invented inputs for the given time.
///
/// # Errors
///
/// When an input breaks a promise; libFuzzer has printed the name of the file with that input.
pub(crate) fn run(project: &Project, arguments: &FuzzArguments) -> Result<()> {
    let target = arguments.target.name();
    let needs_libtorch = arguments.target.needs_libtorch();
    if needs_libtorch {
        setup::ensure(project)?;
    }
    let host = host(&capture(project.command("rustc").arg("-vV"))?)?.to_owned();
    project.announce("building with coverage (the first time compiles every dependency)");
    let features = if needs_libtorch {
        "libfuzzer,model"
    } else {
        "libfuzzer"
    };
    let mut build = project.cargo("build --package fuzz --no-default-features");
    build.args(["--bin", target, "--features", features]);
    // With `--target`, cargo compiles build scripts and macros without these flags.
    build.args(["--target", &host, "--target-dir", FOLDER]);
    run_command(build.env("RUSTFLAGS", COVERAGE))?;

    let invented = project.path(FOLDER).join("corpus").join(target);
    fs::create_dir_all(&invented)
        .with_context(|| format!("cannot create {}", invented.display()))?;
    let mut fuzzer = project.command(format!("{FOLDER}/{host}/debug/{target}"));
    // RUSTFLAGS replaces the flags of .cargo/config.toml, with which programs find libtorch.
    fuzzer.env("LD_LIBRARY_PATH", project.path(".libtorch/lib"));
    fuzzer.arg(&invented).args(arguments.target.seeds());
    fuzzer.arg(format!("-artifact_prefix={FOLDER}/{target}-"));
    fuzzer.arg(format!("-max_total_time={}", arguments.seconds));
    // More than the limits of the targets, so that the targets report first.
    fuzzer.args(["-timeout=30", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    fuzzer.args(&arguments.more);
    run_command(&mut fuzzer).with_context(|| {
        format!(
            "a finding, or a crash: copy the file that is named above into fuzz/corpus/{target}, and \
             `cargo test -p fuzz` shows what it breaks"
        )
    })
}

/// The target of this machine, from the output of `rustc -vV`.
fn host(version: &str) -> Result<&str> {
    let mut lines = version.lines();
    lines
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_says_what_it_compiles_for() {
        let version =
            "rustc 1.95.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(host(version).ok(), Some("x86_64-unknown-linux-gnu"));
        assert!(host("rustc 1.95.0").is_err());
    }
}
