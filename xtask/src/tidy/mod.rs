//! `cargo xtask tidy`: the rules that hold the code base together, checked.
//!
//! ARCHITECTURE.md says why each rule exists. A rule sees one file and names the lines that break
//! it. Rules are plain text searches: quick, without a compiler, and right for the code that
//! rustfmt leaves behind.

mod arrows;
mod code;
mod nevers;
mod unused;
mod wording;

use std::fs;

use anyhow::{Result, ensure};

use crate::process::capture;
use crate::project::Project;

use unused::Unused;

/// Checks every file that git tracks or would track.
///
/// # Errors
///
/// When a rule is broken; each offence is printed as `file:line: what: what to do`.
pub(crate) fn run(project: &Project) -> Result<()> {
    let mut list = project.command("git");
    list.args("ls-files -z --cached --others --exclude-standard".split(' '));
    let (mut n_files, mut n_offences) = (0, 0);
    let mut unused = Unused::default();
    for path in capture(&mut list)?.split_terminator('\0') {
        // Recordings and weights are no text; a file deleted and not yet committed is no file.
        let Ok(text) = fs::read_to_string(project.path(path)) else {
            continue;
        };
        n_files += 1;
        let file = SourceFile::new(path, &text);
        for offence in file.offences() {
            eprintln!(
                "{path}:{}: {}: {}",
                offence.line, offence.what, offence.remedy
            );
            n_offences += 1;
        }
        unused.read(&file);
        if let Some(warning) = wording::long_file(&file) {
            eprintln!("warning: {path}: {warning}");
        }
    }
    for (path, line, name) in unused.offences() {
        eprintln!("{path}:{line}: {name} is named and not used: take it out");
        n_offences += 1;
    }
    ensure!(
        n_offences == 0,
        "tidy found {n_offences} offences in {n_files} files"
    );
    eprintln!("tidy: {n_files} files, no offence");
    Ok(())
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
    what: String,
    remedy: &'static str,
}

/// A text file of the repository, seen three ways; line numbers are the same in each.
struct SourceFile<'a> {
    /// Relative to the root, with `/`.
    path: &'a str,
    text: &'a str,
    /// The text without Rust's test modules.
    shipped: String,
    /// The same without comments and without what is in quotes.
    code: String,
}

impl<'a> SourceFile<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let (shipped, code) = if path.ends_with(".rs") {
            code::shipped(text)
        } else {
            (text.to_owned(), text.to_owned())
        };
        Self {
            path,
            text,
            shipped,
            code,
        }
    }

    fn offences(&self) -> Vec<Offence> {
        let rules = nevers::RULES
            .iter()
            .chain(wording::RULES)
            .filter(|rule| (rule.applies)(self));
        let by_rule = rules.flat_map(|rule| {
            (rule.broken_at)(self).into_iter().map(|line| Offence {
                line,
                what: rule.what.to_owned(),
                remedy: rule.remedy,
            })
        });
        by_rule.chain(arrows::offences(self)).collect()
    }

    /// Rust source that is compiled into a crate, a binary or xtask.
    fn is_shipped_rust(&self) -> bool {
        let in_source = self.path.contains("/src/") || self.path.ends_with("/build.rs");
        let of_tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        self.path.ends_with(".rs") && in_source && !of_tests && !self.path.starts_with("tests/")
    }

    /// Whether the file belongs to the crate in this folder.
    fn is_of(&self, folder: &str) -> bool {
        self.path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The numbers of the lines for which `breaks` holds.
fn lines_where(view: &str, breaks: impl Fn(&str) -> bool) -> Vec<usize> {
    let numbered = view.lines().zip(1..);
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

    /// The numbers of the offending lines of a file with this path and text, each once.
    pub(super) fn lines(path: &str, text: &str) -> Vec<usize> {
        let file = SourceFile::new(path, text);
        let mut lines: Vec<_> = file.offences().iter().map(|offence| offence.line).collect();
        lines.dedup();
        lines
    }

    #[test]
    fn a_word_ends_where_an_identifier_ends() {
        assert!(has_word("use tch::Tensor;", "tch"));
        assert!(!has_word("let batch = 1;", "tch"));
        assert!(!has_word("watch(tch_like)", "tch"));
    }

    #[test]
    fn an_offence_says_where_what_and_what_to_do() {
        let file = SourceFile::new(
            "crates/segmenter/src/lib.rs",
            "//! A sentence.\n\nuse std::fs;\n",
        );
        let offences = file.offences();
        assert_eq!(offences.len(), 1, "{offences:?}");
        assert_eq!(offences[0].line, 3);
        assert!(offences[0].what.contains("never 1"), "{offences:?}");
        assert!(!offences[0].remedy.is_empty());
    }

    #[test]
    fn tests_may_do_what_shipped_code_may_not() {
        let text = "//! A sentence.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(lines("crates/segmenter/src/lib.rs", text), [0; 0]);
        assert_eq!(
            lines(
                "crates/segmenter/tests/a.rs",
                "//! A sentence.\nuse std::fs;\n"
            ),
            [0; 0]
        );
    }
}
