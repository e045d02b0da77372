//! Adds up what test runners print.

use std::fmt;

/// Tests that passed, failed and were skipped, over any number of runners.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    /// The names of failed tests, as their runners print them.
    pub(crate) failures: Vec<String>,
    /// Number of tests of a `unittest` run whose result line has not been read yet.
    pending: u32,
}

impl Totals {
    /// Reads one line of a runner's output. Lines without a total change nothing.
    ///
    /// Two runners are known. Cargo's harness ends the output of each program with `test result: ok. 3 passed;
    /// 0 failed; 1 ignored; ...`. Python's `unittest` prints `Ran 5 tests in 0.1s` and, two lines later,
    /// `OK (skipped=1)` or `FAILED (failures=1, errors=1)`. Each failed test has its own line:
    /// `test a::b ... FAILED`, or `FAIL: b (a.b)` and `ERROR: b (a.b)`.
    pub(crate) fn count(&mut self, line: &str) {
        let of_cargo = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"));
        let of_unittest = line
            .strip_prefix("FAIL: ")
            .or_else(|| line.strip_prefix("ERROR: "));
        self.failures
            .extend(of_cargo.or(of_unittest).map(str::to_owned));
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.skipped += number_before(result, " ignored");
        } else if let Some(rest) = line.strip_prefix("Ran ") {
            self.pending += number_before(rest, " test");
        } else if line == "OK" || line.starts_with("OK (") || line.starts_with("FAILED (") {
            let failed = number_after(line, "failures=") + number_after(line, "errors=");
            let skipped = number_after(line, "skipped=");
            self.failed += failed;
            self.skipped += skipped;
            // `errors` counts an error in the set-up of a class, which is no test and not counted in `Ran`.
            self.passed += self.pending.saturating_sub(failed + skipped);
            self.pending = 0;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The number directly before `label`; 0 if there is none.
fn number_before(text: &str, label: &str) -> u32 {
    let Some(at) = text.find(label) else { return 0 };
    let digits = text[..at].rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The number directly after `label`; 0 if there is none.
fn number_after(text: &str, label: &str) -> u32 {
    let Some(at) = text.find(label) else { return 0 };
    let digits = text[at + label.len()..]
        .split(|c: char| !c.is_ascii_digit())
        .next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expected: &str) {
        let mut totals = Totals::default();
        output.lines().for_each(|line| totals.count(line));
        assert_eq!(totals.to_string(), expected);
    }

    #[test]
    fn the_binaries_of_a_workspace_are_added_up() {
        check(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out",
            "13 passed, 2 failed, 1 skipped",
        );
    }

    #[test]
    fn a_clean_run_of_unittest_counts() {
        check("Ran 7 tests in 0.013s\n\nOK", "7 passed, 0 failed");
    }

    #[test]
    fn failures_errors_and_skips_of_unittest_count_once() {
        check(
            "Ran 9 tests in 1.2s\n\nFAILED (failures=1, errors=2, skipped=3)",
            "3 passed, 3 failed, 3 skipped",
        );
    }

    #[test]
    fn skips_of_unittest_are_no_passes() {
        check(
            "Ran 1 test in 0.1s\n\nOK (skipped=1)",
            "0 passed, 0 failed, 1 skipped",
        );
    }

    #[test]
    fn failed_tests_are_known_by_name() {
        let mut totals = Totals::default();
        let output = "test a::b ... FAILED\ntest a::c ... ok\nFAIL: d (e.d)\nERROR: f (e.f)";
        output.lines().for_each(|line| totals.count(line));
        assert_eq!(totals.failures, ["a::b", "d (e.d)", "f (e.f)"]);
    }

    #[test]
    fn a_test_that_prints_a_total_of_its_own_in_a_sentence_is_ignored() {
        check(
            "child said: test result: ok. 3 passed; 0 failed;",
            "0 passed, 0 failed",
        );
    }
}
