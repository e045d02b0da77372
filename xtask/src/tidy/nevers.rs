//! The nevers of ARCHITECTURE.md, as far as source text shows them.

use super::{Rule, SourceFile, has_word, lines_where};

/// Words that name the world outside a pure function, after `std::` or before `::`.
const OUTSIDE: [&str; 5] = ["env", "fs", "io", "net", "process"];

/// Where `unsafe` may be: in files for what tch does not bind, and in the crate of instructions that the
/// compiler does not know.
const UNSAFE_HOMES: [&str; 2] = ["crates/cpu-linear/src/", SHIMS];

/// Where C++ may be: the shims over libtorch.
const SHIMS: &str = "crates/parakeet-model/src/libtorch/";

/// In the order of the nevers.
pub(super) const RULES: &[Rule] = &[
    Rule {
        what: "a pure crate names files, clocks, the environment, tch, tokio or serde (never 1)",
        remedy: "take slices and return values; effects belong to the worker",
        applies: |file| {
            file.is_shipped_rust()
                && (file.is_of("crates/rnnt-decode") || file.is_of("crates/segmenter"))
        },
        broken_at: impure_lines,
    },
    Rule {
        what: "parakeet-model names the SDK, a queue, a store or a URI (never 2)",
        remedy: "take samples and a folder; the worker knows where they come from",
        applies: |file| file.is_shipped_rust() && file.is_of("crates/parakeet-model"),
        broken_at: |file| {
            let words = [
                "dalston_engine_sdk",
                "redis",
                "object_store",
                "url",
                "Url",
                "Uri",
                "TaskInput",
                "TaskOutput",
            ];
            let mut lines = lines_where(&file.code, |line| {
                words.iter().any(|word| has_word(line, word))
            });
            lines.extend(lines_where(&file.shipped, |line| line.contains("s3://")));
            lines
        },
    },
    Rule {
        what: "the SDK says \"parakeet\" (never 3)",
        remedy: "the SDK serves every engine: pass the name in as a setting",
        applies: |file| {
            let manifest = file.path == "crates/dalston-engine-sdk/Cargo.toml";
            manifest || (file.is_shipped_rust() && file.is_of("crates/dalston-engine-sdk"))
        },
        broken_at: |file| {
            lines_where(&file.shipped, |line| {
                line.to_lowercase().contains("parakeet")
            })
        },
    },
    Rule {
        what: "tch is named outside parakeet-model (never 4)",
        remedy: "give parakeet-model a method that takes and returns plain values",
        applies: |file| file.is_shipped_rust() && !file.is_of("crates/parakeet-model"),
        broken_at: |file| lines_where(&file.code, |line| has_word(line, "tch")),
    },
    Rule {
        what: "the environment is read outside main.rs and the SDK's config (never 5)",
        remedy: "read it there and pass the value in",
        applies: |file| {
            // A build script's environment is how cargo speaks to it.
            let home = file.path.ends_with("/src/main.rs")
                || file.path.ends_with("/build.rs")
                || file.path == "crates/dalston-engine-sdk/src/config.rs"
                || file
                    .path
                    .starts_with("crates/dalston-engine-sdk/src/config/");
            file.is_shipped_rust() && !home
        },
        broken_at: |file| lines_where(&file.code, reads_environment),
    },
    Rule {
        what: "a name that says nothing: common, utils, helpers, types, misc (never 6)",
        remedy: "name it by what it holds, or move each item to where its values are born",
        applies: |file| {
            file.path.ends_with(".rs")
                || file.path.ends_with(".py")
                || file.path.ends_with("Cargo.toml")
        },
        broken_at: |file| {
            let parts = file
                .path
                .split('/')
                .map(|part| part.split('.').next().unwrap_or(part));
            let path_line = parts.into_iter().any(is_empty_name).then_some(1);
            let lines = lines_where(&file.code, |line| {
                let module = line
                    .split("mod ")
                    .nth(1)
                    .map(|rest| rest.trim_end_matches([' ', '{', ';']));
                file.path.ends_with(".rs") && module.is_some_and(is_empty_name)
            });
            path_line.into_iter().chain(lines).collect()
        },
    },
    Rule {
        what: "unsafe outside cpu-linear and parakeet-model's folder libtorch (never 7)",
        remedy: "use a safe interface, or move it there with its SAFETY comment",
        applies: |file| {
            file.path.ends_with(".rs")
                && !UNSAFE_HOMES.iter().any(|home| file.path.starts_with(home))
        },
        broken_at: |file| {
            lines_where(&file.code, |line| {
                has_word(line, "unsafe") || has_word(line, "unsafe_code")
            })
        },
    },
    Rule {
        what: "C++ outside parakeet-model's folder libtorch (never 7)",
        remedy: "write it in Rust against tch",
        applies: |file| {
            let extension = file.path.rsplit('.').next().unwrap_or_default();
            ["c", "cc", "cpp", "cu", "cxx", "h", "hpp"].contains(&extension)
        },
        broken_at: |file| {
            if file.path.starts_with(SHIMS) {
                Vec::new()
            } else {
                vec![1]
            }
        },
    },
];

/// Lines that reach out of a pure crate, lists like `use std::{fs, io}` over several lines included.
fn impure_lines(file: &SourceFile) -> Vec<usize> {
    let anywhere = [
        "tch",
        "tokio",
        "serde",
        "serde_json",
        "File",
        "Instant",
        "SystemTime",
    ];
    let mut in_std_use = false;
    let mut lines = Vec::new();
    for (line, number) in file.code.lines().zip(1..) {
        in_std_use |= line.contains("use std::");
        let outside = OUTSIDE.iter().any(|word| {
            in_std_use && has_word(line, word)
                || line.contains(&format!("std::{word}"))
                || has_word(line, word) && line.contains(&format!("{word}::"))
        });
        if outside || anywhere.iter().any(|word| has_word(line, word)) {
            lines.push(number);
        }
        in_std_use &= !line.contains(';');
    }
    lines
}

fn reads_environment(line: &str) -> bool {
    let calls = [
        "env::var",
        "env::set_var",
        "env::remove_var",
        "env::{",
        "option_env!",
    ];
    // clap's `env` attribute reads the variable wherever the struct stands.
    let attribute = line.trim_start().starts_with("#[arg(") && has_word(line, "env");
    attribute || calls.iter().any(|call| line.contains(call))
}

fn is_empty_name(name: &str) -> bool {
    [
        "common", "util", "utils", "helper", "helpers", "types", "misc",
    ]
    .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines;
    use super::UNSAFE_HOMES;

    /// Asserts that line 2 of a file breaks a rule; line 1 is the sentence every file begins with.
    #[track_caller]
    fn breaks(path: &str, line: &str) {
        assert_eq!(
            lines(path, &format!("//! A sentence.\n{line}\n")),
            [2],
            "{path}: {line}"
        );
    }

    #[track_caller]
    fn allows(path: &str, line: &str) {
        assert_eq!(
            lines(path, &format!("//! A sentence.\n{line}\n")),
            [0; 0],
            "{path}: {line}"
        );
    }

    #[test]
    fn a_pure_crate_opens_no_file_and_reads_no_clock() {
        for path in [
            "crates/rnnt-decode/src/words.rs",
            "crates/segmenter/src/lib.rs",
        ] {
            breaks(path, "use std::fs;");
            breaks(path, "use std::{cmp, io};");
            breaks(path, "let text = fs::read_to_string(path);");
            breaks(path, "let now = Instant::now();");
            breaks(path, "use std::time::SystemTime;");
            breaks(path, "let home = std::env::var(name);");
            breaks(path, "#[derive(serde::Serialize)]");
            breaks(path, "fn f(x: &tch::Tensor) {}");
            breaks(path, "tokio::spawn(f);");
            allows(path, "use std::{cmp::Ordering, ops::Range};");
            allows(path, "let io = 1; // std::fs is never used");
        }
    }

    #[test]
    fn a_list_of_imports_over_several_lines_is_read_whole() {
        let text = "//! A sentence.\nuse std::{\n    cmp,\n    fs,\n};\nlet fs = 1;\n";
        assert_eq!(lines("crates/segmenter/src/lib.rs", text), [4]);
    }

    #[test]
    fn the_model_knows_no_pipeline() {
        let path = "crates/parakeet-model/src/lib.rs";
        breaks(path, "use dalston_engine_sdk::audio::Waveform;");
        breaks(path, "let bucket = \"s3://models\";");
        breaks(path, "fn task(input: TaskInput) {}");
        allows(path, "use rnnt_decode::Transducer;");
    }

    #[test]
    fn the_sdk_knows_no_model_by_name() {
        let path = "crates/dalston-engine-sdk/src/queue.rs";
        breaks(path, "const DEFAULT: &str = \"nvidia/Parakeet-rnnt-0.6b\";");
        breaks(path, "// as Parakeet does");
        allows("bins/parakeet-worker/src/lib.rs", "// as Parakeet does");
    }

    #[test]
    fn tensors_stay_in_the_model_crate() {
        breaks(
            "bins/parakeet-worker/src/engine.rs",
            "pub fn f(x: &tch::Tensor) {}",
        );
        breaks("bins/parakeet-worker/src/engine.rs", "use tch::Tensor;");
        allows("crates/parakeet-model/src/lib.rs", "use tch::Tensor;");
    }

    #[test]
    fn the_environment_is_read_at_the_rim_only() {
        for call in [
            "std::env::var(\"A\")",
            "env::var_os(\"A\")",
            "use std::env::{self, var};",
        ] {
            breaks("bins/parakeet-worker/src/engine.rs", call);
            breaks("crates/dalston-engine-sdk/src/queue.rs", call);
            allows("bins/parakeet-worker/src/main.rs", call);
            allows("crates/dalston-engine-sdk/src/config.rs", call);
        }
        breaks(
            "bins/parakeet-worker/src/cli.rs",
            "#[arg(long, env = \"DEVICE\")]",
        );
        allows(
            "bins/parakeet-worker/src/engine.rs",
            "let version = env!(\"CARGO_PKG_VERSION\");",
        );
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        let text = "//! A sentence.\n";
        assert_eq!(lines("crates/segmenter/src/utils.rs", text), [1]);
        assert_eq!(lines("crates/segmenter/src/helpers/mod.rs", text), [1]);
        assert_eq!(lines("tests/tests/common/mod.rs", text), [1]);
        assert_eq!(
            lines("xtask/python/misc.py", "\"\"\"A sentence.\"\"\"\n"),
            [1]
        );
        breaks("crates/segmenter/src/lib.rs", "pub mod types {");
        breaks("crates/segmenter/src/lib.rs", "mod common;");
        allows("crates/segmenter/src/lib.rs", "mod commons;");
    }

    #[test]
    fn unsafe_has_its_homes() {
        breaks("crates/segmenter/src/lib.rs", "let x = unsafe { *p };");
        breaks("crates/parakeet-model/src/lib.rs", "#![allow(unsafe_code)]");
        breaks("crates/cpu-linear/benches/x.rs", "let x = unsafe { *p };");
        for home in UNSAFE_HOMES {
            let file = match home.strip_suffix('/') {
                Some(folder) => format!("{folder}/any.rs"),
                None => home.to_owned(),
            };
            allows(&file, "let x = unsafe { *p };");
        }
        allows(
            "crates/segmenter/src/lib.rs",
            "let safe = \"unsafe\"; // unsafe",
        );
    }

    #[test]
    fn foreign_code_is_a_shim_of_the_model_crate() {
        let shim = "// shim\n";
        assert_eq!(
            lines("crates/parakeet-model/src/libtorch/streams.cpp", shim),
            [0; 0]
        );
        assert_eq!(lines("crates/parakeet-model/src/streams.cpp", shim), [1]);
        assert_eq!(lines("bins/parakeet-worker/src/fast.c", "int x;\n"), [1]);
    }
}
