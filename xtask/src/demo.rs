//! `cargo xtask demo`: from a fresh clone to words with times, in one command.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::export::{TINY, ensure_tiny_bundle};
use crate::process::{capture, run as run_command};
use crate::project::Project;
use crate::setup;

/// Sentences of the test set, which is no part of the training data, in four synthetic voices.
const RECORDINGS: [&str; 4] = [
    "tests/data/tiny-300/0012.flac",
    "tests/data/tiny-300/0075.flac",
    "tests/data/tiny-300/0189.flac",
    "tests/data/tiny-300/0064.flac",
];

const WHAT_IT_IS: &str = "\
This is a demonstration model: small, and trained on about 300 words spoken by speech synthesisers. It
shows that the whole way works, from an audio file to words with times. Of real speech it understands
nothing.";

const WHERE_NEXT: &str = "\
Next, a model for real speech, 2.5 GB to download:
  cargo xtask export-model nvidia/parakeet-rnnt-0.6b
  cargo run --release -p parakeet-worker -- transcribe --model nvidia/parakeet-rnnt-0.6b YOUR.wav";

/// Sets the checkout up, exports the tiny model, builds the worker, and transcribes.
pub(crate) fn run(project: &Project) -> Result<()> {
    setup::ensure(project)?;
    ensure_tiny_bundle(project)?;
    project.announce("building parakeet-worker (the first time takes minutes: it compiles tch)");
    run_command(&mut project.cargo("build --package parakeet-worker"))?;
    project.announce("transcribing shipped recordings");
    let lines = capture(
        project
            .cargo("run --quiet --package parakeet-worker -- transcribe --format json")
            .args(["--model", TINY])
            .args(RECORDINGS),
    )?;
    for line in lines.lines() {
        let output =
            serde_json::from_str(line).context("parakeet-worker wrote a line that is no JSON")?;
        print!(
            "\n{}",
            shown(&output).context("parakeet-worker wrote JSON of an unknown shape")?
        );
    }
    println!("\n{WHAT_IT_IS}\n\n{WHERE_NEXT}");
    project.announce("done");
    Ok(())
}

/// The sentence of one file and the table of its words; `None` if the output lacks a field.
fn shown(output: &Value) -> Option<String> {
    let segments = output["segments"].as_array()?;
    let words = segments
        .iter()
        .map(|segment| segment["words"].as_array().map(Vec::as_slice));
    let words = words.collect::<Option<Vec<_>>>()?.concat();
    let texts = words.iter().map(|word| word["word"].as_str());
    let width = texts
        .map(|text| text.map(|text| text.chars().count()))
        .max()
        .flatten();
    let width = width.unwrap_or(0).max("word".len());

    let mut table = format!(
        "{}\n  {}\n\n",
        output["file"].as_str()?,
        output["text"].as_str()?
    );
    let _ = writeln!(table, "  {:width$}  start s   end s  confidence", "word");
    for word in &words {
        let confidence = word["confidence"]
            .as_f64()
            .map_or("-".to_owned(), |value| format!("{value:.2}"));
        let _ = writeln!(
            table,
            "  {:width$}  {:7.2} {:7.2}  {confidence:>10}",
            word["word"].as_str()?,
            word["start"].as_f64()?,
            word["end"].as_f64()?,
        );
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_all_segments_stand_in_one_aligned_table() {
        let output = json!({"file": "a.flac", "text": "good morning anna", "segments": [
            {"words": [{"word": "good", "start": 0.08, "end": 0.24, "confidence": 0.987},
                       {"word": "morning", "start": 0.24, "end": 0.8, "confidence": null}]},
            {"words": [{"word": "anna", "start": 11.2, "end": 11.52, "confidence": 1.0}]},
        ]});
        let expected = "a.flac\n  good morning anna\n\n\
            \x20 word     start s   end s  confidence\n\
            \x20 good        0.08    0.24        0.99\n\
            \x20 morning     0.24    0.80           -\n\
            \x20 anna       11.20   11.52        1.00\n";
        assert_eq!(shown(&output).as_deref(), Some(expected));
    }

    #[test]
    fn a_file_without_words_has_an_empty_table() {
        let output = json!({"file": "a.flac", "text": "", "segments": []});
        assert!(
            shown(&output)
                .unwrap()
                .ends_with("word  start s   end s  confidence\n")
        );
    }

    #[test]
    fn output_of_another_shape_is_not_shown() {
        assert_eq!(
            shown(&json!({"file": "a.flac", "text": "", "segments": [{}]})),
            None
        );
    }
}
