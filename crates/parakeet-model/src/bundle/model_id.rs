//! The canonical id of a model, read from any of its spellings.

use std::fmt;
use std::str::FromStr;

/// The organisation of every model in [`KNOWN`].
const ORGANISATION: &str = "nvidia";

/// The published Parakeets that the exporter knows, without their organisation.
const KNOWN: [&str; 9] = [
    "parakeet-rnnt-0.6b",
    "parakeet-rnnt-1.1b",
    "parakeet-ctc-0.6b",
    "parakeet-ctc-1.1b",
    "parakeet-tdt-0.6b-v2",
    "parakeet-tdt-0.6b-v3",
    "parakeet-tdt-1.1b",
    "parakeet-tdt_ctc-110m",
    "parakeet-tdt_ctc-1.1b",
];

/// Short names that Dalston's gateway uses, and the models that they stand for.
const ALIASES: [(&str, &str); 3] = [
    ("parakeet-0.6b", "parakeet-rnnt-0.6b"),
    ("parakeet-1.1b", "parakeet-rnnt-1.1b"),
    ("parakeet-110m", "parakeet-tdt_ctc-110m"),
];

/// The longest name that every file system takes as the name of a folder.
const MAX_BYTES: usize = 96;

/// A model's canonical id: `nvidia/parakeet-rnnt-0.6b`, or `parakeet-rnnt-tiny` for a model of no
/// organisation.
///
/// [`str::parse`] reads it from the hub's name, from the bare name of a published model
/// (`parakeet-rnnt-0.6b`), or from Dalston's alias (`parakeet-0.6b`). Two spellings of one model give one id:
/// parse a name once, where it enters the program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(String);

impl ModelId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the bundle's folder: the id with `/` written `--`.
    pub fn folder(&self) -> String {
        self.0.replace('/', "--")
    }

    /// The id whose bundle lies in a folder of this name; `None` for a name that is no id's folder.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        let id: Self = name.replacen("--", "/", 1).parse().ok()?;
        // The folder of an alias would never be found, because its id has another folder.
        (id.folder() == name).then_some(id)
    }

    /// Whether the exporter can fetch the model: its id names an organisation on the hub.
    pub(crate) fn is_on_a_hub(&self) -> bool {
        self.0.contains('/')
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that no model can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no model's name, expected NAME or ORGANISATION/NAME of letters, digits, `.`, `_` and `-`",
    .0.escape_debug()
)]
pub struct InvalidModelId(String);

impl FromStr for ModelId {
    type Err = InvalidModelId;

    /// # Errors
    ///
    /// [`InvalidModelId`] for anything but one or two names. An accepted name cannot point out of the folder
    /// that holds the bundles.
    fn from_str(name: &str) -> Result<Self, InvalidModelId> {
        let n_parts = name.split('/').count();
        if n_parts > 2 || name.len() > MAX_BYTES || !name.split('/').all(is_name) {
            return Err(InvalidModelId(name.chars().take(MAX_BYTES).collect()));
        }
        let alias = ALIASES.iter().find(|&&(alias, _)| alias == name);
        let name = alias.map_or(name, |&(_, model)| model);
        Ok(Self(if KNOWN.contains(&name) {
            format!("{ORGANISATION}/{name}")
        } else {
            name.to_owned()
        }))
    }
}

/// Whether a part of an id follows the hub's rule: letters or digits at both ends and no `--`, which stands
/// for `/` in folders.
fn is_name(part: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let at_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = part.as_bytes();
    bytes.iter().all(|&byte| inside(byte))
        && at_edge(bytes.first())
        && at_edge(bytes.last())
        && !part.contains("--")
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, id: &str) {
        assert_eq!(
            name.parse::<ModelId>().as_ref().map(ModelId::as_str),
            Ok(id)
        );
    }

    #[test]
    fn every_spelling_of_a_published_model_is_one_id() {
        for known in KNOWN {
            let id = format!("nvidia/{known}");
            check(known, &id);
            check(&id, &id);
        }
        check("parakeet-0.6b", "nvidia/parakeet-rnnt-0.6b");
        check("parakeet-1.1b", "nvidia/parakeet-rnnt-1.1b");
        check("parakeet-110m", "nvidia/parakeet-tdt_ctc-110m");
    }

    #[test]
    fn a_model_of_ones_own_keeps_its_name() {
        check("parakeet-rnnt-tiny", "parakeet-rnnt-tiny");
        check("someone/parakeet-0.6b", "someone/parakeet-0.6b");
        check("large-v3", "large-v3");
    }

    #[test]
    fn a_canonical_id_stays_itself() {
        for name in ["parakeet-0.6b", "parakeet-rnnt-tiny", "a/b"] {
            let id: ModelId = name.parse().expect("it is a name");
            check(id.as_str(), id.as_str());
        }
    }

    #[test]
    fn a_name_that_could_lead_out_of_the_folder_is_refused() {
        let long = "a".repeat(97);
        let hostile = [
            "", ".", "..", "/", "a/", "/a", "../a", "a/..", "a/b/c", "a--b", "a\\b", "a\0b", "a b",
            "-a", ".a", "a.", "a..b", "é", "C:", "~", &long,
        ];
        for name in hostile {
            assert!(name.parse::<ModelId>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_refused_name_is_quoted_without_its_control_characters() {
        let why = "a\n\x1b[2J".parse::<ModelId>().expect_err("it is no name");
        assert!(
            why.to_string()
                .starts_with("`a\\n\\u{1b}[2J` is no model's name"),
            "{why}"
        );
    }

    #[test]
    fn a_folder_is_found_back_from_its_id() {
        for id in ["nvidia/parakeet-tdt_ctc-110m", "parakeet-rnnt-tiny"] {
            let id: ModelId = id.parse().expect("it is a name");
            assert_eq!(ModelId::of_folder(&id.folder()), Some(id));
        }
        for no_folder in ["parakeet-rnnt-0.6b", "parakeet-0.6b", "a--b--c", ".cache"] {
            assert_eq!(ModelId::of_folder(no_folder), None, "{no_folder}");
        }
    }
}
