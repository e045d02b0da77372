//! Models on the hub: their names, and how their checkpoints are fetched.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::process::capture;
use crate::project::Project;
use crate::venv::Venv;

/// The hub's client, in an environment apart from `.venv` because only fetching needs it.
///
/// Pinned to the last release that resumes an interrupted download in the next run. Later releases start
/// again from the first byte, which is slow for files of gigabytes.
pub(crate) const CLIENT: Venv = Venv {
    folder: ".venv-hub",
    packages: &["huggingface_hub==1.16.4"],
    contents: "the model hub's client",
    download_mb: Some(9),
    needed_gb: 1,
};

/// Published Parakeets, all by the organisation `nvidia`. docs/models.md says what each model writes.
const KNOWN: [&str; 9] = [
    "nvidia/parakeet-rnnt-0.6b",
    "nvidia/parakeet-rnnt-1.1b",
    "nvidia/parakeet-ctc-0.6b",
    "nvidia/parakeet-ctc-1.1b",
    "nvidia/parakeet-tdt-0.6b-v2",
    "nvidia/parakeet-tdt-0.6b-v3",
    "nvidia/parakeet-tdt-1.1b",
    "nvidia/parakeet-tdt_ctc-110m",
    "nvidia/parakeet-tdt_ctc-1.1b",
];

/// The short names of Dalston, each with the model that it means.
const ALIASES: [(&str, &str); 3] = [
    ("parakeet-0.6b", "nvidia/parakeet-rnnt-0.6b"),
    ("parakeet-1.1b", "nvidia/parakeet-rnnt-1.1b"),
    ("parakeet-110m", "nvidia/parakeet-tdt_ctc-110m"),
];

/// The repository that a name means. The name is `owner/name`, the bare name of a known model, or a short name
/// of Dalston.
///
/// # Errors
///
/// When the name is none of these; the message lists the known models.
pub(crate) fn repository(name: &str) -> Result<String> {
    if let Some(id) = published(name) {
        return Ok(id.to_owned());
    }
    ensure!(
        is_repository(name),
        "{name} is neither a .nemo file that exists nor a model of the hub; known are\n  {}\nand \
         any other OWNER/NAME that holds a .nemo file",
        KNOWN.join("\n  ")
    );
    Ok(name.to_owned())
}

/// The id of the published model that a name means; `None` for any other name.
pub(crate) fn published(name: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let known = KNOWN
        .iter()
        .find(|&&id| id == name || id.split_once('/').is_some_and(|(_, bare)| bare == name));
    alias.map(|&(_, id)| id).or(known.copied())
}

/// Fetches the checkpoint of a repository into the client's cache, unless the cache has it, and compares the
/// file's SHA-256 with the one that the hub states. The client prints its progress to standard error.
///
/// # Errors
///
/// When the checkpoint cannot be fetched; the client has printed why and what to do.
pub(crate) fn fetch(project: &Project, repository: &str) -> Result<PathBuf> {
    CLIENT.ensure(project)?;
    project.announce(&format!("fetching {repository}"));
    let mut client = CLIENT.python(project);
    let path = capture(client.args(["-m", "exporter.hub", repository]))
        .with_context(|| format!("{repository} was not fetched, for the reason above"))?;
    Ok(PathBuf::from(path.trim_end()))
}

/// Whether a name is `owner/name` of letters, digits, `.`, `_` and `-`, and cannot be a path.
fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    name.split('/').count() == 2 && name.split('/').all(is_part) && !name.ends_with(".nemo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(repository(name).ok().as_deref(), expected);
    }

    #[test]
    fn a_repository_is_taken_as_it_is() {
        check("someone/parrot-2b", Some("someone/parrot-2b"));
        check(
            "nvidia/parakeet-rnnt-0.6b",
            Some("nvidia/parakeet-rnnt-0.6b"),
        );
    }

    #[test]
    fn a_bare_name_is_that_of_a_known_model() {
        check("parakeet-tdt-0.6b-v3", Some("nvidia/parakeet-tdt-0.6b-v3"));
        check("parakeet-rnnt-2b", None);
    }

    #[test]
    fn the_short_names_of_dalston_mean_what_they_mean_there() {
        check("parakeet-0.6b", Some("nvidia/parakeet-rnnt-0.6b"));
        check("parakeet-110m", Some("nvidia/parakeet-tdt_ctc-110m"));
    }

    #[test]
    fn a_path_is_no_repository() {
        for path in [
            "models/tiny.nemo",
            "./nvidia/parakeet",
            "/nvidia/parakeet",
            "../parakeet",
            "~/parakeet",
            "a/b/c",
            "nvidia/",
            "nvidia/a parakeet",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let answer = repository("parakeet").unwrap_err().to_string();
        for id in KNOWN {
            assert!(answer.contains(id), "{id} is not in: {answer}");
        }
    }

    #[test]
    fn the_table_of_models_has_every_known_one() {
        let table = include_str!("../../docs/models.md");
        for id in KNOWN {
            let name = id.trim_start_matches("nvidia/");
            assert!(table.contains(&format!("| `{name}` |")), "{name}");
        }
        for (alias, _) in ALIASES {
            assert!(table.contains(&format!("`{alias}`")), "{alias}");
        }
    }
}
