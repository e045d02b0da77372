//! `THIRD_PARTY.txt`: the crates in the worker and the texts of their licences.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::crates::Krate;

const OPENING: &str = "\
Third-party software in parakeet-worker

These crates are linked into the program, unchanged. Where their source is stands beside each; that of the
version named is also what `cargo vendor` fetches. Below the list are the licences as the crates ship them, each
text once. The libraries of libtorch beside the program have theirs in the folders torch-* and nvidia_*.
";

/// The beginnings of the names of licence files, in lower case.
const NAMES: [&str; 6] = [
    "license",
    "licence",
    "copying",
    "copyright",
    "notice",
    "unlicense",
];

/// The list of crates, then the text of every licence with the crates that ship this text.
pub(super) fn text(crates: &[Krate]) -> Result<String> {
    let foreign = || crates.iter().filter(|krate| !krate.is_ours());
    let mut text = format!("{OPENING}\n");
    let mut by_terms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for krate in foreign() {
        let terms = terms(&krate.folder)?;
        let note = if terms.is_empty() {
            "; ships no text of it"
        } else {
            ""
        };
        let source = krate.repository.as_deref().unwrap_or("no repository");
        let _ = writeln!(text, "{}: {}{note}; {source}", krate.id(), krate.licence);
        for terms in terms {
            by_terms.entry(terms).or_default().push(krate.id());
        }
    }
    for (terms, ids) in &by_terms {
        let _ = write!(
            text,
            "\n{}\n{}\n\n{terms}\n",
            "-".repeat(80),
            ids.join(", ")
        );
    }
    Ok(text)
}

/// The texts of the licence files in a crate's folder.
fn terms(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if entry.path().is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let text = |path: &_| fs::read_to_string(path).with_context(cannot);
    let texts = paths.iter().map(text).collect::<Result<Vec<_>>>()?;
    let plain = |text: String| text.trim().replace("\r\n", "\n");
    Ok(texts.into_iter().map(plain).collect())
}

#[cfg(test)]
mod tests {
    use super::super::crates::tests::crates;
    use super::*;

    #[test]
    fn a_text_that_two_crates_ship_stands_once_and_names_both() {
        let root = std::env::temp_dir().join(format!("xtask-notices-{}", std::process::id()));
        let mut crates = crates();
        for krate in &mut crates {
            krate.folder = root.join(&krate.name);
            fs::create_dir_all(&krate.folder).unwrap();
            fs::write(krate.folder.join("LICENSE-MIT"), "Do as you like.\r\n").unwrap();
            fs::write(krate.folder.join("lib.rs"), "no terms").unwrap();
        }
        fs::write(root.join("deep/NOTICE"), "Of deep.").unwrap();
        let text = text(&crates).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert!(
            text.contains("\ndeep 1.0.0, linked 1.0.0\n\nDo as you like.\n"),
            "{text}"
        );
        assert_eq!(text.matches("Do as you like.").count(), 1);
        assert_eq!(text.matches("Of deep.").count(), 1);
        assert!(
            !text.contains("parakeet-worker 1.0.0"),
            "our own is no third party's"
        );
    }
}
