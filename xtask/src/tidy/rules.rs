//! The rules about one file: those of ARCHITECTURE.md that no compiler, linter or cargo-deny can hold.

use super::{Rule, SourceFile, has_word, lines_where};

/// Above so many lines a file should be split by subject.
const LONG: usize = 350;

/// Above so many lines it must be.
const TOO_LONG: usize = 500;

/// The only places with `unsafe`: what std does not offer about a process, instructions that the compiler does not
/// know, and bindings to what tch does not bind.
const UNSAFE_HOMES: [&str; 3] = [
    "bins/parakeet-worker/src/process.rs",
    "crates/cpu-linear/",
    "crates/parakeet-model/src/libtorch/",
];

/// The lint's name, in two parts so that this file does not break its own rule.
const UNSAFE_LINT: &str = concat!("unsafe", "_code");

/// The extensions of C and C++.
const C_EXTENSIONS: [&str; 7] = ["c", "cc", "cpp", "cu", "cxx", "h", "hpp"];

/// Names that do not say what a module holds.
const EMPTY_NAMES: [&str; 7] = [
    "common", "helper", "helpers", "misc", "types", "util", "utils",
];

/// All of them. The rules of the nevers come first, in their order.
pub(super) const RULES: &[Rule] = &[
    Rule {
        what: "the SDK says \"parakeet\" (never 3)",
        remedy: "the SDK serves every engine: pass the name in as a setting",
        applies: |file| {
            file.path == "crates/dalston-engine-sdk/Cargo.toml"
                || file.path.starts_with("crates/dalston-engine-sdk/src/")
        },
        broken_at: |file| lines_where(file.text, |line| line.to_lowercase().contains("parakeet")),
    },
    Rule {
        what: "a name that says nothing: common, utils, helpers, types, misc (never 6)",
        remedy: "name it by what it holds, or move each item to where its values are born",
        applies: |file| is_program(file) || file.path.ends_with("Cargo.toml"),
        broken_at: |file| {
            let parts = file.path.split('/');
            let mut names = parts.map(|part| part.split('.').next().unwrap_or(part));
            first_line_if(names.any(|name| EMPTY_NAMES.contains(&name)))
        },
    },
    Rule {
        // The workspace denies unsafe code, so unsafe code has an attribute that names the lint.
        what: "unsafe code outside cpu-linear, parakeet-model's libtorch and the worker's process.rs (never 7)",
        remedy: "use a safe interface, or move it there with its SAFETY comment",
        applies: |file| file.path.ends_with(".rs") && !is_unsafe_home(file),
        broken_at: |file| {
            lines_where(file.text, |line| {
                line.contains(UNSAFE_LINT) && !line.contains("forbid")
            })
        },
    },
    Rule {
        what: "a crate without the lints of the workspace (never 7)",
        remedy: "write `[lints]` and `workspace = true` into its manifest",
        applies: |file| file.path.ends_with("/Cargo.toml"),
        broken_at: |file| first_line_if(!file.text.contains("\n[lints]\nworkspace = true\n")),
    },
    Rule {
        what: "C or C++ outside cpu-linear and parakeet-model's libtorch (never 7)",
        remedy: "write it in Rust against tch",
        applies: |file| !is_unsafe_home(file),
        broken_at: |file| {
            let extension = file.path.rsplit('.').next().unwrap_or_default();
            first_line_if(C_EXTENSIONS.contains(&extension))
        },
    },
    Rule {
        what: "the file has more than 500 lines",
        remedy: "split it by subject",
        applies: is_program,
        broken_at: |file| first_line_if(n_lines(file) > TOO_LONG),
    },
    Rule {
        what: "the file does not begin with a sentence about itself",
        remedy: "begin Rust with `//!` and Python with a docstring",
        applies: is_program,
        broken_at: |file| {
            let mut lines = file.text.lines().skip_while(|line| line.starts_with("#!/"));
            let is_rust = file.path.ends_with(".rs");
            let opening = if is_rust { "//! " } else { "\"\"\"" };
            first_line_if(!lines.next().is_some_and(|line| line.starts_with(opening)))
        },
    },
    Rule {
        // clippy knows the macros `todo!` and `dbg!`; no tool of ours reads comments.
        what: "unfinished work",
        remedy: "finish it, or open an issue and say here what holds today",
        applies: |file| is_program(file) && file.path != "xtask/src/tidy/rules.rs",
        broken_at: |file| {
            let marks = ["TODO", "FIXME", "XXX", "HACK"];
            lines_where(file.text, |line| {
                marks.iter().any(|mark| has_word(line, mark))
            })
        },
    },
];

/// A warning about a file that is on its way to being too long.
pub(super) fn long_file(file: &SourceFile) -> Option<String> {
    let n_lines = n_lines(file);
    (is_program(file) && n_lines > LONG)
        .then(|| format!("{n_lines} lines, more than {LONG}: split it by subject"))
}

fn n_lines(file: &SourceFile) -> usize {
    file.text.lines().count()
}

fn is_program(file: &SourceFile) -> bool {
    file.path.ends_with(".rs") || file.path.ends_with(".py")
}

fn is_unsafe_home(file: &SourceFile) -> bool {
    UNSAFE_HOMES.iter().any(|home| file.path.starts_with(home))
}

/// Line 1 stands for the whole file.
fn first_line_if(broken: bool) -> Vec<usize> {
    if broken { vec![1] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines;
    use super::*;

    /// The line after the first sentence of a file, and the numbers of the lines that break a rule.
    #[track_caller]
    fn check(path: &str, line: &str, expected: &[usize]) {
        let is_python = path.ends_with(".py");
        let opening = if is_python {
            "\"\"\"A.\"\"\""
        } else {
            "//! A."
        };
        let found = lines(path, &format!("{opening}\n{line}\n"));
        assert_eq!(found, expected, "{path}: {line}");
    }

    #[test]
    fn the_sdk_knows_no_model_by_name() {
        let path = "crates/dalston-engine-sdk/src/queue.rs";
        check(path, "const A: &str = \"nvidia/Parakeet-rnnt-0.6b\";", &[2]);
        check(path, "// as Parakeet does", &[2]);
        check(
            "bins/parakeet-worker/src/lib.rs",
            "// as Parakeet does",
            &[],
        );
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        for path in [
            "crates/segmenter/src/utils.rs",
            "crates/segmenter/src/helpers/mod.rs",
            "tests/tests/common/mod.rs",
            "xtask/python/misc.py",
        ] {
            check(path, "", &[1]);
        }
        check("crates/segmenter/src/commons.rs", "", &[]);
    }

    #[test]
    fn unsafe_has_its_homes() {
        let allowed = format!("#![expect({UNSAFE_LINT})]");
        check("crates/segmenter/src/lib.rs", &allowed, &[2]);
        check("crates/parakeet-model/src/lib.rs", &allowed, &[2]);
        for home in UNSAFE_HOMES {
            let file = match home.ends_with('/') {
                true => format!("{home}any.rs"),
                false => home.to_owned(),
            };
            check(&file, &allowed, &[]);
        }
        let forbidden = format!("#![forbid({UNSAFE_LINT})]");
        check("crates/segmenter/src/lib.rs", &forbidden, &[]);
    }

    #[test]
    fn a_crate_has_the_lints_of_the_workspace() {
        assert_eq!(
            lines("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            [1]
        );
        let manifest = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(lines("crates/a/Cargo.toml", manifest), [0; 0]);
    }

    #[test]
    fn foreign_code_is_beside_what_binds_it() {
        let shim = "// shim\n".repeat(100);
        let path = "crates/parakeet-model/src/libtorch/streams.cpp";
        assert_eq!(lines(path, &shim), [0; 0]);
        assert_eq!(lines("crates/parakeet-model/src/a.cpp", "int x;\n"), [1]);
        assert_eq!(lines("bins/parakeet-worker/src/fast.c", "int x;\n"), [1]);
    }

    #[test]
    fn unfinished_work_is_named() {
        check("xtask/src/a.rs", "// TODO: later", &[2]);
        check("xtask/python/a.py", "x = 1  # FIXME", &[2]);
        check("xtask/src/a.rs", "let todos = 1;", &[]);
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(lines("xtask/src/a.rs", "fn main() {}\n"), [1]);
        assert_eq!(lines("xtask/python/a.py", "import sys\n"), [1]);
        let script = "#!/usr/bin/env python3\n\"\"\"A sentence.\"\"\"\n";
        assert_eq!(lines("xtask/python/a.py", script), [0; 0]);
    }

    #[test]
    fn a_file_of_500_lines_is_the_longest() {
        let text = "//! A sentence.\n".repeat(500);
        assert_eq!(lines("xtask/src/a.rs", &text), [0; 0]);
        assert_eq!(lines("xtask/src/a.rs", &format!("{text}\n")), [1]);
    }
}
