//! `cargo xtask test`: runs every check and every test, and adds up the results.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::cli::{TestArguments, Tier};
use crate::export::ensure_tiny_bundle;
use crate::process::{run as run_command, watch};
use crate::project::Project;
use crate::totals::Totals;
use crate::{deploy, hub, instructions, servers, setup, supply, tidy};

/// Runs the tests that the arguments select. The last line of its output is `N passed, N failed`.
///
/// An error is printed here and not by `main`, because it must come before that line.
pub(crate) fn run(project: &Project, arguments: &TestArguments) -> ExitCode {
    let mut totals = Totals::default();
    let outcome = match arguments.tier {
        None => everything(project, &mut totals),
        Some(Tier::Logic) => rust_tests(project, "", &mut totals),
        Some(Tier::Contract) => contract(project, &mut totals),
        Some(Tier::Numeric) => numeric(project, &mut totals),
        Some(Tier::Whole) => whole(project, &mut totals),
    };
    let outcome = outcome.and_then(|()| verdict(&totals, project.environment.ci));
    if let Err(error) = &outcome {
        eprintln!("\nerror: {error:#}");
        // A check that stops the run is a failure, although no test runner has counted it.
        totals.failed = totals.failed.max(1);
    }
    project.announce("end of the run");
    println!("{totals}");
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the quick checks first, because they fail often and take seconds.
fn everything(project: &Project, totals: &mut Totals) -> Result<()> {
    project.announce("checking format and tidiness");
    run_command(&mut project.cargo("fmt --all --check"))?;
    tidy::run(project)?;
    supply::check(project)?;
    deploy::check(project)?;
    setup::ensure(project)?;
    servers::ensure(project)?;
    instructions::test(project, totals)?;
    python_tests(project, totals)?;
    ensure_tiny_bundle(project)?;
    project.announce("checking with clippy");
    let clippy = "clippy --workspace --all-targets --quiet -- -D warnings";
    run_command(&mut project.cargo(clippy))?;
    project.announce("checking the documentation");
    let doc = "doc --workspace --no-deps --quiet";
    run_command(project.cargo(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    rust_tests(project, "--workspace", totals)
}

fn numeric(project: &Project, totals: &mut Totals) -> Result<()> {
    setup::ensure(project)?;
    python_tests(project, totals)?;
    ensure_tiny_bundle(project)?;
    rust_tests(project, "--package parakeet-model", totals)
}

/// Needs no libtorch: the package e2e-tests is compiled without its feature `model`.
fn contract(project: &Project, totals: &mut Totals) -> Result<()> {
    servers::ensure(project)?;
    rust_tests(project, "--package e2e-tests --no-default-features", totals)
}

fn whole(project: &Project, totals: &mut Totals) -> Result<()> {
    setup::ensure(project)?;
    servers::ensure(project)?;
    ensure_tiny_bundle(project)?;
    rust_tests(
        project,
        "--package parakeet-worker --package e2e-tests",
        totals,
    )
}

/// Runs the tests in Python: of the exporter, which need torch but not NeMo, of fetching from the hub, and of
/// the files in `deploy`.
fn python_tests(project: &Project, totals: &mut Totals) -> Result<()> {
    hub::CLIENT.ensure(project)?;
    // With the folder that the modules of the tests are named from.
    for (what, folder, root) in [
        ("the files of deploy", "deploy/tests", "deploy/tests"),
        ("the exporter", "xtask/python/tests", "xtask/python"),
    ] {
        project.announce(&format!("testing {what}"));
        let mut unittest = setup::EXPORTER.python(project);
        // At every call of TorchScript, torch recommends TorchScript's successor, which tch cannot load.
        unittest.args(["-W", "ignore::DeprecationWarning"]);
        unittest.args(["-m", "unittest", "discover", "--start-directory", folder]);
        unittest.args(["--top-level-directory", root]);
        count(unittest, totals)?;
    }
    Ok(())
}

/// Runs `cargo test` for the selected packages, including doc tests. Without a selection, these are the
/// default members.
///
/// Compiling is a separate step, in which cargo can draw its progress on the terminal. The output of the tests
/// goes through a pipe, because it is counted.
fn rust_tests(project: &Project, selection: &str, totals: &mut Totals) -> Result<()> {
    project.announce("compiling the tests");
    run_command(&mut project.cargo(&format!("test --no-run {selection}")))?;
    project.announce("testing");
    count(
        project.cargo(&format!("test --no-fail-fast {selection}")),
        totals,
    )
}

/// Runs a test runner and adds its totals.
///
/// A failed test is not an error here, because the next runner may show the cause. A runner that fails without
/// a failed test has crashed, and that is an error.
fn count(runner: Command, totals: &mut Totals) -> Result<()> {
    let failed_before = totals.failed;
    let status = watch(runner, |line| totals.count(line))?;
    ensure!(
        status.success() || totals.failed > failed_before,
        "a test runner ended with {status} and named no failed test: its last words are above"
    );
    Ok(())
}

fn verdict(totals: &Totals, ci: bool) -> Result<()> {
    ensure!(
        totals.failed == 0,
        "tests failed, for the reasons above:\n  {}",
        totals.failures.join("\n  ")
    );
    ensure!(
        totals.skipped == 0 || !ci,
        "tests were skipped, which CI=true does not allow: their names are above"
    );
    ensure!(totals.passed > 0, "no test ran");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(lines: &str) -> Totals {
        let mut totals = Totals::default();
        lines.lines().for_each(|line| totals.count(line));
        totals
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn one_failed_test_fails_the_run() {
        let failed = totals("test result: FAILED. 9 passed; 1 failed; 0 ignored;");
        assert!(verdict(&failed, false).is_err());
    }

    #[test]
    fn a_skipped_test_fails_the_run_under_ci_only() {
        let skipped = totals("test result: ok. 9 passed; 0 failed; 1 ignored;");
        assert!(verdict(&skipped, false).is_ok());
        assert!(verdict(&skipped, true).is_err());
    }

    #[test]
    fn a_run_without_tests_is_no_success() {
        assert!(verdict(&Totals::default(), false).is_err());
    }

    #[test]
    fn a_runner_that_crashes_is_an_error_though_it_counted_no_failure() {
        let mut totals = Totals::default();
        assert!(count(shell("exit 101"), &mut totals).is_err());
        assert!(
            count(
                shell("echo 'test result: FAILED. 1 passed; 1 failed;'; exit 101"),
                &mut totals
            )
            .is_ok()
        );
        assert_eq!(totals.failed, 1);
        assert!(count(shell("exit 101"), &mut totals).is_err());
    }
}
