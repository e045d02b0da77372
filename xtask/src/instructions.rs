//! `cargo xtask instructions`: counts the instructions of the search, the words and the cutting.
//!
//! On a shared machine, times vary by more than the cost of a change. Counts of instructions do not vary
//! between two runs on the same machine.
//!
//! gungraun counts with callgrind as well, but compares with the last run in `target` or with an upper bound. The
//! counts here are compared with a file in git, and fewer instructions are a difference as well: the file would
//! otherwise hide a later increase.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::InstructionArguments;
use crate::process::{capture, run as run_command};
use crate::programs::{self, on_path};
use crate::project::Project;
use crate::totals::Totals;

/// The file with the expected counts. It is in git, so a commit that changes a count shows the change.
const COUNTS: &str = "benches/instructions.tsv";

const IS_COUNTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// A count may differ by one part in this many (2 %), because another libc may take some more instructions.
const ONE_IN: u64 = 50;

/// Counts and prints the instructions, then compares them with the file or writes the file.
///
/// # Errors
///
/// When callgrind is missing and cannot be installed, or a count differs.
pub(crate) fn run(project: &Project, arguments: &InstructionArguments) -> Result<()> {
    ensure!(IS_COUNTED, "{COUNTS} is of x86-64 Linux");
    let counts = count(project, &valgrind(project)?)?;
    if arguments.write {
        let lines = counts.iter().map(|(name, n)| format!("{name}\t{n}\n"));
        let path = project.path(COUNTS);
        return fs::write(&path, lines.collect::<String>())
            .with_context(|| format!("cannot write {}", path.display()));
    }
    let differences = differences(&written(project)?, &counts);
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// Compares the counts as one test, on the system of the file. Without callgrind the test is skipped.
///
/// # Errors
///
/// When counting fails.
pub(crate) fn test(project: &Project, totals: &mut Totals) -> Result<()> {
    if !IS_COUNTED {
        return Ok(());
    }
    let valgrind = match valgrind(project) {
        Ok(program) => program,
        Err(why) => {
            println!("SKIPPED: instructions are not counted: {why:#}");
            totals.skipped += 1;
            return Ok(());
        }
    };
    let differences = differences(&written(project)?, &count(project, &valgrind)?);
    if differences.is_empty() {
        totals.passed += 1;
    } else {
        totals.failed += 1;
        totals.failures.extend(differences);
    }
    Ok(())
}

/// The path of valgrind, from the PATH or from Debian's package.
fn valgrind(project: &Project) -> Result<PathBuf> {
    on_path("valgrind").map_or_else(|| programs::install(project, "valgrind"), Ok)
}

/// The instructions of one run of each piece of work, by name.
fn count(project: &Project, valgrind: &Path) -> Result<BTreeMap<String, u64>> {
    project.announce("counting instructions");
    let build =
        "build --release --quiet --package benches --no-default-features --bin instructions";
    // The user's flags would give other instructions.
    run_command(project.cargo(build).env_remove("RUSTFLAGS"))?;
    let program = project.built("release/instructions");
    let names = capture(&mut project.command(&program))?;
    let mut counts = BTreeMap::new();
    for name in names.lines() {
        // Both counts include start and preparation, so their difference is one run.
        let [once, twice] = ["1", "2"].map(|n_runs| {
            let mut counter = project.command(valgrind);
            counter.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            counter.env_remove("VALGRIND_OPTS");
            collected(counter.arg(&program).args([name, n_runs]))
        });
        let (once, twice) = (once?, twice?);
        ensure!(
            twice > once,
            "{name} takes {once} instructions once and {twice} twice"
        );
        println!("{name:12} {:>10} instructions", twice - once);
        counts.insert(name.to_owned(), twice - once);
    }
    Ok(counts)
}

/// Runs a program under callgrind, and reads the number of instructions from the end of callgrind's output.
fn collected(counter: &mut Command) -> Result<u64> {
    let output = counter.output().context("cannot start valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let n = said.lines().find_map(|line| {
        let (_, n) = line.split_once("Collected : ")?;
        n.trim().parse().ok()
    });
    match n {
        Some(n) if output.status.success() => Ok(n),
        _ => bail!("callgrind ended with {} and said:\n{said}", output.status),
    }
}

fn written(project: &Project) -> Result<BTreeMap<String, u64>> {
    let path = project.path(COUNTS);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(|line| {
        let (name, n) = line.split_once('\t')?;
        Some((name.to_owned(), n.parse().ok()?))
    });
    lines
        .collect::<Option<_>>()
        .with_context(|| format!("{COUNTS} has a line that is no name, tab and number"))
}

/// One sentence for each piece of work whose count differs from the file's.
fn differences(written: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
    let what_to_do = "write the counts with `cargo xtask instructions --write`";
    let mut all: Vec<_> = counted
        .iter()
        .filter_map(|(name, &n)| match written.get(name) {
            None => Some(format!("{name} is not in {COUNTS}: {what_to_do}")),
            Some(&before) => (n.abs_diff(before) > before / ONE_IN).then(|| {
                let change = 100.0 * (n as f64 / before as f64 - 1.0);
                format!(
                    "{name} takes {n} instructions, {change:+.1} % of the {before} in {COUNTS}: if that is \
                     meant, {what_to_do} and say why in the commit"
                )
            }),
        })
        .collect();
    let gone = written.keys().filter(|name| !counted.contains_key(*name));
    all.extend(gone.map(|name| format!("{name} in {COUNTS} is no work: {what_to_do}")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
        all.iter().map(|&(name, n)| (name.to_owned(), n)).collect()
    }

    #[test]
    fn more_and_fewer_instructions_are_differences() {
        let written = counts(&[("stitch", 1000)]);
        for (n, expected) in [(1021, "+2.1 %"), (979, "-2.1 %")] {
            let found = differences(&written, &counts(&[("stitch", n)]));
            assert!(found[0].contains(expected), "{found:?}");
        }
        assert!(differences(&written, &counts(&[("stitch", 1019)])).is_empty());
    }

    #[test]
    fn a_work_that_came_or_went_is_a_difference() {
        let found = differences(&counts(&[("old", 5)]), &counts(&[("new", 5)]));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn callgrind_says_how_many_in_its_last_lines() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo '==7== Collected : 123' >&2"]);
        assert_eq!(collected(&mut shell).unwrap(), 123);
        shell = Command::new("sh");
        shell.args(["-c", "echo 'no such program' >&2; exit 1"]);
        let error = collected(&mut shell).unwrap_err().to_string();
        assert!(error.contains("no such program"), "{error}");
    }
}
