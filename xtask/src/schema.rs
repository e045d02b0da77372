//! `cargo xtask schema`: writes the generated part of `engine.yaml` from the types that it describes.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::cli::SchemaArguments;
use crate::process::capture;
use crate::project::Project;
use crate::setup;

const FILE: &str = "engine.yaml";

/// The marker: everything above it is written by hand, everything below it is generated.
const MARKER: &str =
    "# `cargo xtask schema` writes everything below from the types of the worker.\n";

/// Asks the worker for its schemas, and writes them below the marker or compares them with the text there.
pub(crate) fn run(project: &Project, arguments: &SchemaArguments) -> Result<()> {
    setup::ensure(project)?;
    let worker = "run --quiet --package parakeet-worker -- schema";
    let schemas = capture(&mut project.cargo(worker))?;
    let path = project.path(FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let current = with_schemas(&text, &schemas)
        .with_context(|| format!("{FILE} lacks the line {MARKER:?}"))?;
    if arguments.check {
        ensure!(
            current == text,
            "{FILE} is behind the types of the worker; `cargo xtask schema` writes it"
        );
        return Ok(());
    }
    fs::write(&path, current).with_context(|| format!("cannot write {FILE}"))
}

/// The text with these schemas below the marker; `None` if the text has no marker.
fn with_schemas(text: &str, schemas: &str) -> Option<String> {
    let (by_hand, _) = text.split_once(MARKER)?;
    Some(format!("{by_hand}{MARKER}{schemas}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_marker_is_replaced() {
        let text = format!("id: a\n{MARKER}old: 1\nolder: 2\n");
        let expected = format!("id: a\n{MARKER}new: 3\n");
        assert_eq!(with_schemas(&text, "new: 3\n").as_ref(), Some(&expected));
        assert_eq!(with_schemas(&expected, "new: 3\n"), Some(expected));
    }

    #[test]
    fn a_file_without_the_marker_is_left_alone() {
        assert_eq!(with_schemas("id: a\n", "new: 3\n"), None);
    }
}
