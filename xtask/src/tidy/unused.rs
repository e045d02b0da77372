//! Dependencies that a package names and does not use.

use std::collections::BTreeMap;

use super::{SourceFile, has_word};

/// Collects manifests and sources until every file was seen.
#[derive(Default)]
pub(super) struct Unused {
    /// The dependencies of each package with their lines, by the package's folder.
    named: BTreeMap<String, Vec<(usize, String)>>,
    /// Sources of another package that a program of this one is made of, by the package's folder.
    borrowed: BTreeMap<String, Vec<String>>,
    /// Rust sources by path.
    code: Vec<(String, String)>,
}

impl Unused {
    /// Takes what this file says.
    pub(super) fn read(&mut self, file: &SourceFile) {
        if let Some(folder) = file.path.strip_suffix("/Cargo.toml") {
            self.named.insert(folder.to_owned(), named(file.text));
            let outside = file.text.lines().filter_map(|line| {
                let path = line.strip_prefix("path = \"")?.trim_end_matches('"');
                path.ends_with(".rs").then_some(path)?.strip_prefix("../")
            });
            let outside = outside.map(ToOwned::to_owned).collect();
            self.borrowed.insert(folder.to_owned(), outside);
        } else if file.path.ends_with(".rs") {
            self.code.push((file.path.to_owned(), file.text.to_owned()));
        }
    }

    /// Each dependency whose crate no source of its package mentions: manifest, line and name.
    pub(super) fn offences(&self) -> Vec<(String, usize, &str)> {
        let mut offences = Vec::new();
        for (folder, dependencies) in &self.named {
            let inside = format!("{folder}/");
            let is_of_package = |path: &str| {
                path.starts_with(&inside) || self.borrowed[folder].iter().any(|it| it == path)
            };
            for (line, name) in dependencies {
                let krate = name.replace('-', "_");
                let mentions = |text: &str| text.lines().any(|line| mentions(line, &krate));
                let of_package = self.code.iter().filter(|(path, _)| is_of_package(path));
                if !of_package.map(|(_, text)| text).any(|text| mentions(text)) {
                    offences.push((format!("{folder}/Cargo.toml"), *line, name.as_str()));
                }
            }
        }
        offences
    }
}

/// Whether a line of Rust uses the crate, and does not only tell of it.
fn mentions(line: &str, krate: &str) -> bool {
    !line.trim_start().starts_with("//") && has_word(line, krate)
}

/// Every dependency of a manifest, of whatever kind, with its line.
fn named(manifest: &str) -> Vec<(usize, String)> {
    let mut in_list = false;
    let mut found = Vec::new();
    for (line, number) in manifest.lines().zip(1..) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            in_list = header.trim_end_matches(']').ends_with("dependencies");
        } else if in_list && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or(line);
            found.push((number, name.trim_matches('"').to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(manifest: &str, source: &str, unused: &[&str]) {
        let mut seen = Unused::default();
        seen.read(&SourceFile::new("crates/a/Cargo.toml", manifest));
        seen.read(&SourceFile::new("crates/a/src/lib.rs", source));
        // What another package uses does not count.
        seen.read(&SourceFile::new(
            "crates/ab/src/lib.rs",
            "use left_over::A;",
        ));
        let names: Vec<_> = seen
            .offences()
            .into_iter()
            .map(|(_, _, name)| name)
            .collect();
        assert_eq!(names, unused);
    }

    #[test]
    fn a_dependency_that_no_source_mentions_is_unused() {
        let manifest = "[dependencies]\nleft-over.workspace = true\nused = \"1\"\n";
        check(
            manifest,
            "use used::A;\n// left_over is only told of",
            &["left-over"],
        );
        check(manifest, "use used::A;\nfn f() { left_over::g() }", &[]);
    }

    #[test]
    fn a_program_made_of_anothers_source_uses_what_that_source_uses() {
        let manifest =
            "[dependencies]\nleft-over = \"1\"\n\n[[bin]]\npath = \"../crates/ab/src/lib.rs\"\n";
        check(manifest, "", &[]);
    }

    #[test]
    fn development_and_build_dependencies_count() {
        let manifest = "[dev-dependencies]\na = \"1\"\n\n[target.'cfg(unix)'.build-dependencies]\nb = \"1\"\n\n\
            [features]\nc = []\n";
        check(manifest, "", &["a", "b"]);
    }
}
