//! The arrows of ARCHITECTURE.md: which crate may depend on which, and on whose libraries.

use super::{Offence, SourceFile};

/// Each crate of ours by its folder, what it may use of ours, and what it must not use of others.
const CRATES: &[Crate] = &[
    Crate {
        folder: "crates/cpu-linear",
        ours: &[],
        never: PURE,
    },
    Crate {
        folder: "crates/rnnt-decode",
        ours: &[],
        never: PURE,
    },
    Crate {
        folder: "crates/segmenter",
        ours: &["rnnt-decode"],
        never: PURE,
    },
    Crate {
        folder: "crates/parakeet-model",
        ours: &["cpu-linear", "rnnt-decode"],
        never: &["object_store", "redis", "tokio", "url"],
    },
    Crate {
        folder: "crates/dalston-engine-sdk",
        ours: &[],
        never: TORCH,
    },
    Crate {
        folder: "bins/parakeet-worker",
        ours: &[
            "dalston-engine-sdk",
            "parakeet-model",
            "rnnt-decode",
            "segmenter",
        ],
        never: TORCH,
    },
    Crate {
        folder: "xtask",
        ours: &[],
        never: TORCH,
    },
];

const TORCH: &[&str] = &["tch", "torch-sys"];
const PURE: &[&str] = &["serde", "serde_json", "tch", "tokio", "torch-sys"];

/// Packages that test or measure the whole: any arrow is theirs to draw.
const FREE: [&str; 2] = ["tests/Cargo.toml", "benches/Cargo.toml"];

const REMEDY: &str = "see the arrows in ARCHITECTURE.md; a new one is a design change";

struct Crate {
    folder: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

impl Crate {
    /// The package's name, which is that of its folder.
    fn name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }
}

/// The dependencies in a member's manifest that are no arrow of ours; development ones are free.
pub(super) fn offences(file: &SourceFile) -> Vec<Offence> {
    let Some(folder) = file.path.strip_suffix("/Cargo.toml") else {
        return Vec::new();
    };
    if FREE.contains(&file.path) || file.path.starts_with("fuzz/") {
        return Vec::new();
    }
    let offence = |line, what| Offence {
        line,
        what,
        remedy: REMEDY,
    };
    let Some(member) = CRATES.iter().find(|member| member.folder == folder) else {
        return vec![offence(1, format!("{folder} is a crate without arrows"))];
    };
    let is_ours = |name: &str| CRATES.iter().any(|other| other.name() == name);
    let allowed = |name: &str| {
        if is_ours(name) {
            member.ours.contains(&name)
        } else {
            !member.never.contains(&name)
        }
    };
    dependencies(file.text)
        .into_iter()
        .filter(|(_, name)| !allowed(name))
        .map(|(line, name)| offence(line, format!("{} must not depend on {name}", member.name())))
        .collect()
}

/// The shipped dependencies of a manifest with their line numbers: `[dependencies]`,
/// `[build-dependencies]`, their forms per target, and tables like `[dependencies.tch]`.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut in_list = false;
    let mut found = Vec::new();
    for (line, number) in manifest.lines().zip(1..) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or(header);
            let is_list = |name: &str| name == "dependencies" || name == "build-dependencies";
            in_list = header.rsplit('.').next().is_some_and(is_list);
            if let Some((list, name)) = header.rsplit_once('.')
                && list.rsplit('.').next().is_some_and(is_list)
            {
                found.push((number, name));
            }
        } else if in_list && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or(line);
            found.push((number, name.trim_matches('"')));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines;
    use super::*;

    #[track_caller]
    fn refuses(folder: &str, dependency: &str) {
        let manifest = format!("[dependencies]\n{dependency}.workspace = true\n");
        assert_eq!(
            lines(&format!("{folder}/Cargo.toml"), &manifest),
            [2],
            "{folder} -> {dependency}"
        );
    }

    #[track_caller]
    fn allows(folder: &str, dependency: &str) {
        let manifest = format!("[dependencies]\n{dependency}.workspace = true\n");
        assert_eq!(
            lines(&format!("{folder}/Cargo.toml"), &manifest),
            [0; 0],
            "{folder} -> {dependency}"
        );
    }

    #[test]
    fn pure_crates_depend_on_nothing_impure() {
        for folder in [
            "crates/cpu-linear",
            "crates/rnnt-decode",
            "crates/segmenter",
        ] {
            for library in ["tch", "tokio", "serde"] {
                refuses(folder, library);
            }
            allows(folder, "thiserror");
        }
        allows("crates/segmenter", "rnnt-decode");
        refuses("crates/rnnt-decode", "segmenter");
    }

    #[test]
    fn the_model_does_not_depend_on_the_pipeline() {
        for library in ["dalston-engine-sdk", "redis", "object_store"] {
            refuses("crates/parakeet-model", library);
        }
        allows("crates/parakeet-model", "tch");
    }

    #[test]
    fn the_sdk_depends_on_no_model_and_no_search() {
        for library in ["tch", "rnnt-decode", "segmenter", "parakeet-model"] {
            refuses("crates/dalston-engine-sdk", library);
        }
    }

    #[test]
    fn only_the_model_depends_on_tch() {
        refuses("bins/parakeet-worker", "tch");
        refuses("xtask", "tch");
    }

    #[test]
    fn xtask_links_none_of_our_crates() {
        for name in [
            "cpu-linear",
            "rnnt-decode",
            "segmenter",
            "parakeet-model",
            "dalston-engine-sdk",
            "parakeet-worker",
        ] {
            refuses("xtask", name);
        }
    }

    #[test]
    fn a_new_crate_needs_its_arrows_drawn() {
        assert_eq!(lines("crates/new-crate/Cargo.toml", "[package]\n"), [1]);
    }

    #[test]
    fn tests_may_depend_on_anything() {
        let manifest = "[dependencies]\ntch = \"1\"\nsegmenter.workspace = true\n";
        assert_eq!(lines("tests/Cargo.toml", manifest), [0; 0]);
        assert_eq!(
            lines(
                "crates/rnnt-decode/Cargo.toml",
                "[dev-dependencies]\nserde = \"1\"\n"
            ),
            [0; 0]
        );
    }

    #[test]
    fn every_form_of_a_dependency_is_read() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# why\na.workspace = true\nb = { path = \"b\" }\n\
            [target.'cfg(unix)'.dependencies]\nc = \"1\"\n[dependencies.d]\nversion = \"1\"\n\
            [build-dependencies]\ne = \"1\"\n[dev-dependencies]\nf = \"1\"\n[lints]\nworkspace = true\n";
        let names = dependencies(manifest);
        assert_eq!(names, [(6, "a"), (7, "b"), (9, "c"), (10, "d"), (13, "e")]);
    }
}
