//! `cargo xtask tidy`: the rules that hold the code base together and that no other tool can check.
//!
//! ARCHITECTURE.md says why each rule exists. Most rules see one file and name the lines that break the rule:
//! plain text searches, which need no compiler and are right for the code that rustfmt leaves behind. One rule
//! sees all files of a crate: no circle of modules.
//!
//! Other tools hold the other rules: cargo-deny the arrows between crates, cargo-shear the unused
//! dependencies, clippy what a crate may call (the `clippy.toml` of each crate), rustc unsafe code.

mod circles;
mod rules;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, ensure};

use crate::process::capture;
use crate::project::Project;

/// The folders of sources without circles.
const SOURCES: [&str; 6] = [
    "bins/parakeet-worker/src/",
    "crates/cpu-linear/src/",
    "crates/dalston-engine-sdk/src/",
    "crates/parakeet-model/src/",
    "crates/rnnt-decode/src/",
    "crates/segmenter/src/",
];

/// Checks every file that git tracks or would track.
///
/// # Errors
///
/// When a rule is broken; each offence is printed as `file:line: what: what to do`.
pub(crate) fn run(project: &Project) -> Result<()> {
    let mut list = project.command("git");
    list.args("ls-files -z --cached --others --exclude-standard".split(' '));
    let mut n_offences = 0;
    let mut files = BTreeMap::new();
    for path in capture(&mut list)?.split_terminator('\0') {
        // Recordings and weights are not text. A file that is deleted and not yet committed cannot be read.
        let Ok(text) = fs::read_to_string(project.path(path)) else {
            continue;
        };
        let file = SourceFile { path, text: &text };
        for offence in file.offences() {
            eprintln!(
                "{path}:{}: {}: {}",
                offence.line, offence.what, offence.remedy
            );
            n_offences += 1;
        }
        if let Some(warning) = rules::long_file(&file) {
            eprintln!("warning: {path}: {warning}");
        }
        files.insert(path.to_owned(), text);
    }
    for source in SOURCES {
        for circle in circles::circles(&below(source, &files)) {
            eprintln!(
                "{source}: a circle of modules: {circle}: move what they share to a file below them"
            );
            n_offences += 1;
        }
    }
    let n_files = files.len();
    ensure!(
        n_offences == 0,
        "tidy found {n_offences} offences in {n_files} files"
    );
    eprintln!("tidy: {n_files} files, no offence");
    Ok(())
}

/// The Rust files below a folder, by their path from there.
fn below(folder: &str, files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let inside = files.iter().filter_map(|(path, text)| {
        let path = path.strip_prefix(folder)?;
        path.ends_with(".rs")
            .then(|| (path.to_owned(), text.clone()))
    });
    inside.collect()
}

/// A rule: what to look for, where, and what to do about it.
struct Rule {
    /// The offence, as it stands after `file:line: `.
    what: &'static str,
    remedy: &'static str,
    /// Whether the rule is about this file at all.
    applies: fn(&SourceFile) -> bool,
    /// The numbers of the lines that break the rule, from 1.
    broken_at: fn(&SourceFile) -> Vec<usize>,
}

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Offence {
    line: usize,
    what: &'static str,
    remedy: &'static str,
}

/// A text file of the repository.
struct SourceFile<'a> {
    /// Relative to the root, with `/`.
    path: &'a str,
    text: &'a str,
}

impl SourceFile<'_> {
    fn offences(&self) -> Vec<Offence> {
        let rules = rules::RULES.iter().filter(|rule| (rule.applies)(self));
        let by_rule = rules.flat_map(|rule| {
            (rule.broken_at)(self).into_iter().map(|line| Offence {
                line,
                what: rule.what,
                remedy: rule.remedy,
            })
        });
        by_rule.collect()
    }
}

/// The numbers of the lines for which `breaks` holds.
fn lines_where(text: &str, breaks: impl Fn(&str) -> bool) -> Vec<usize> {
    let numbered = text.lines().zip(1..);
    numbered
        .filter(|(line, _)| breaks(line))
        .map(|(_, number)| number)
        .collect()
}

/// Whether a line holds `word` with nothing of an identifier on either side.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the offending lines of a file with this path and text.
    pub(super) fn lines(path: &str, text: &str) -> Vec<usize> {
        let offences = SourceFile { path, text }.offences();
        offences.iter().map(|offence| offence.line).collect()
    }

    #[test]
    fn a_word_ends_where_an_identifier_ends() {
        assert!(has_word("use tch::Tensor;", "tch"));
        assert!(!has_word("let batch = 1;", "tch"));
        assert!(!has_word("watch(tch_like)", "tch"));
    }

    #[test]
    fn an_offence_says_where_what_and_what_to_do() {
        let file = SourceFile {
            path: "crates/dalston-engine-sdk/src/lib.rs",
            text: "//! A sentence.\n\n// parakeet\n",
        };
        let offences = file.offences();
        assert_eq!(offences.len(), 1, "{offences:?}");
        assert_eq!(offences[0].line, 3);
        assert!(offences[0].what.contains("never 3"), "{offences:?}");
        assert!(!offences[0].remedy.is_empty());
    }
}
