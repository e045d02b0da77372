//! Rules about any text of ours: length, first line, unfinished work, names of foreign machines.

use super::{Rule, SourceFile, has_word, lines_where};

/// Lines of code above which a file should be split by subject, and above which it must be.
const LONG: usize = 350;
const TOO_LONG: usize = 500;

/// Hosts of package registries. Which mirror serves a machine is its user's business: cargo and pip
/// have settings for that, and a name in our text would go around them. In two parts each, so that a
/// search for such names finds nothing here either.
const REGISTRIES: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("pypi", ".nvidia.com"),
    concat!("download.pytorch", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("conda.anaconda", ".org"),
];

/// Folders of one person's machine.
const MACHINE_FOLDERS: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        what: "the file has more than 500 lines",
        remedy: "split it by subject",
        applies: is_program,
        broken_at: |file| {
            if n_lines(file) > TOO_LONG {
                vec![1]
            } else {
                Vec::new()
            }
        },
    },
    Rule {
        what: "the file does not begin with a sentence about itself",
        remedy: "begin Rust with `//!` and Python with a docstring",
        applies: is_program,
        broken_at: |file| {
            let mut lines = file.text.lines().skip_while(|line| line.starts_with("#!/"));
            let opening = if file.path.ends_with(".rs") {
                "//! "
            } else {
                "\"\"\""
            };
            let opens = lines.next().is_some_and(|line| line.starts_with(opening));
            if opens { Vec::new() } else { vec![1] }
        },
    },
    Rule {
        what: "unfinished work",
        remedy: "finish it, or open an issue and say here what holds today",
        applies: |file| is_ours(file) && !file.path.ends_with(".md"),
        broken_at: |file| {
            let marks = ["TODO", "FIXME", "XXX", "HACK"];
            lines_where(file.text, |line| {
                marks.iter().any(|mark| has_word(line, mark))
                    || line.contains("todo!(")
                    || line.contains("dbg!(")
            })
        },
    },
    Rule {
        what: "the host of a package registry",
        remedy: "name the package; the user's cargo and pip know from where",
        applies: is_ours,
        broken_at: |file| {
            lines_where(file.text, |line| {
                REGISTRIES.iter().any(|host| names_host(line, host))
            })
        },
    },
    Rule {
        what: "a folder of one machine",
        remedy: "use a path relative to the repository",
        applies: is_ours,
        broken_at: |file| {
            lines_where(file.text, |line| {
                MACHINE_FOLDERS
                    .iter()
                    .any(|folder| names_folder(line, folder))
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

/// Text that people write here: not a lock file, and not these rules, which must name what they ban.
fn is_ours(file: &SourceFile) -> bool {
    file.path != "Cargo.lock" && file.path != "xtask/src/tidy/wording.rs"
}

/// The host itself: the name of a site below it, or a longer one that ends alike, is another host.
fn names_host(line: &str, host: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    line.match_indices(host)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + host.len()..].starts_with(part))
}

/// An absolute path through that folder, and not the middle of a relative path or of an address.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-~*)}$>".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines;

    #[track_caller]
    fn check(path: &str, line: &str, expected: &[usize]) {
        let opening = if path.ends_with(".py") {
            "\"\"\"A sentence.\"\"\""
        } else {
            "//! A sentence."
        };
        assert_eq!(
            lines(path, &format!("{opening}\n{line}\n")),
            expected,
            "{path}: {line}"
        );
    }

    #[test]
    fn unfinished_work_is_named() {
        check("xtask/src/a.rs", "// TODO: later", &[2]);
        check("xtask/src/a.rs", "todo!()", &[2]);
        check("xtask/src/a.rs", "dbg!(x);", &[2]);
        check("xtask/python/a.py", "x = 1  # FIXME", &[2]);
        check("xtask/src/a.rs", "let todos = 1;", &[]);
    }

    #[test]
    fn registries_are_not_named() {
        check(
            "README.md",
            concat!("pip install --index-url https://pypi", ".org/simple torch"),
            &[2],
        );
        check("docs/a.md", concat!("see files.pythonhosted", ".org"), &[2]);
        check("docs/a.md", "see docs.rs/tch and mypypi.organic", &[]);
    }

    #[test]
    fn machine_folders_are_not_named() {
        check("README.md", "cd /home/someone/engine", &[2]);
        check("xtask/src/a.rs", "let root = \"/root/engine\";", &[2]);
        check("docs/a.md", "see target/work/ and https://a.org/home/", &[]);
        check("docs/a.md", "/models and /usr/share and /tmp", &[]);
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(lines("xtask/src/a.rs", "fn main() {}\n"), [1]);
        assert_eq!(lines("xtask/python/a.py", "import sys\n"), [1]);
        assert_eq!(
            lines(
                "xtask/python/a.py",
                "#!/usr/bin/env python3\n\"\"\"A sentence.\"\"\"\n"
            ),
            [0; 0]
        );
    }

    #[test]
    fn a_file_of_500_lines_is_the_longest() {
        let text = "//! A sentence.\n".repeat(500);
        assert_eq!(lines("xtask/src/a.rs", &text), [0; 0]);
        assert_eq!(lines("xtask/src/a.rs", &format!("{text}\n")), [1]);
    }
}
