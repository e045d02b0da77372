//! Finds the folder of a model by its id.
//!
//! Bundles lie side by side, one folder per canonical id with `/` written `--`:
//! `models/nvidia--parakeet-rnnt-0.6b`.

use std::fmt;
use std::path::{Path, PathBuf};

use parakeet_model::ModelManifest;

/// The organisation that a bare model name belongs to: `parakeet-rnnt-0.6b` is `nvidia`'s.
const DEFAULT_ORGANISATION: &str = "nvidia";

/// Finds the bundle of `model`, a folder or an id, among the bundles in `roots`.
///
/// # Errors
///
/// [`UnknownModel`], which lists the models there are and says how to get this one.
pub fn find(model: &str, roots: &[PathBuf]) -> Result<PathBuf, UnknownModel> {
    let path = PathBuf::from(model);
    if path.is_dir() {
        return Ok(path);
    }
    let bare = (!model.contains('/')).then(|| format!("{DEFAULT_ORGANISATION}/{model}"));
    let ids = [Some(model.to_owned()), bare];
    let folders = ids
        .iter()
        .flatten()
        .flat_map(|id| roots.iter().map(|root| root.join(folder(id))));
    folders
        .into_iter()
        .find(|folder| is_bundle(folder))
        .ok_or_else(|| UnknownModel {
            model: model.to_owned(),
            roots: roots.to_vec(),
            known: roots.iter().flat_map(|root| list(root)).collect(),
        })
}

/// The folders in which bundles are looked for: `DALSTON_MODEL_DIR`, else `/models`, else `models` in
/// the working directory.
pub fn roots(model_dir: Option<PathBuf>) -> Vec<PathBuf> {
    model_dir.map_or_else(|| vec!["/models".into(), "models".into()], |dir| vec![dir])
}

/// No bundle of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownModel {
    /// What was asked for.
    pub model: String,
    /// Where it was looked for.
    pub roots: Vec<PathBuf>,
    /// Ids of the models that are there.
    pub known: Vec<String>,
}

impl std::error::Error for UnknownModel {}

impl fmt::Display for UnknownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            model,
            roots,
            known,
        } = self;
        let roots: Vec<_> = roots
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        write!(f, "there is no model {model} in {}; ", roots.join(" or "))?;
        if known.is_empty() {
            write!(f, "there is none at all")?;
        } else {
            write!(f, "there is {}", known.join(", "))?;
        }
        let root = roots.last().map_or("models", String::as_str);
        write!(
            f,
            "; `cargo xtask export-model {model} --out {root}/{}` makes it",
            folder(model)
        )
    }
}

fn folder(id: &str) -> String {
    id.replace('/', "--")
}

fn is_bundle(folder: &Path) -> bool {
    folder.join(ModelManifest::FILE).is_file()
}

fn list(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut ids: Vec<_> = entries
        .filter(|entry| is_bundle(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().replace("--", "/"))
        .collect();
    ids.sort();
    ids
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root_with(folders: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        for folder in folders {
            let folder = root.path().join(folder);
            fs::create_dir(&folder).expect("it can be made");
            fs::write(folder.join(ModelManifest::FILE), "{}").expect("it can be written");
        }
        root
    }

    #[track_caller]
    fn check(model: &str, folders: &[&str], expected: Option<&str>) {
        let root = root_with(folders);
        let found = find(model, &[root.path().to_owned()]).ok();
        assert_eq!(found, expected.map(|folder| root.path().join(folder)));
    }

    #[test]
    fn an_id_is_found_in_its_folder() {
        check(
            "nvidia/parakeet-rnnt-0.6b",
            &["nvidia--parakeet-rnnt-0.6b"],
            Some("nvidia--parakeet-rnnt-0.6b"),
        );
    }

    #[test]
    fn a_bare_name_is_the_default_organisations() {
        check(
            "parakeet-rnnt-0.6b",
            &["nvidia--parakeet-rnnt-0.6b"],
            Some("nvidia--parakeet-rnnt-0.6b"),
        );
    }

    #[test]
    fn a_folder_of_the_exact_name_comes_before_the_default_organisations() {
        check(
            "parakeet-rnnt-tiny",
            &["nvidia--parakeet-rnnt-tiny", "parakeet-rnnt-tiny"],
            Some("parakeet-rnnt-tiny"),
        );
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let root = root_with(&["anything"]);
        let path = root.path().join("anything");
        assert_eq!(find(&path.display().to_string(), &[]), Ok(path));
    }

    #[test]
    fn an_id_cannot_lead_out_of_the_root() {
        let root = root_with(&["outside"]);
        let inner = root.path().join("models");
        assert!(find("../outside", &[inner]).is_err());
    }

    #[test]
    fn an_unknown_model_is_answered_with_those_there_are_and_the_command_that_makes_it() {
        let root = root_with(&["nvidia--parakeet-ctc-0.6b", "parakeet-rnnt-tiny"]);
        let why =
            find("nvidia/parakeet-rnnt-1.1b", &[root.path().to_owned()]).expect_err("unknown");
        let answer = why
            .to_string()
            .replace(&root.path().display().to_string(), "models");
        assert_eq!(
            answer,
            "there is no model nvidia/parakeet-rnnt-1.1b in models; there is \
             nvidia/parakeet-ctc-0.6b, parakeet-rnnt-tiny; `cargo xtask export-model \
             nvidia/parakeet-rnnt-1.1b --out models/nvidia--parakeet-rnnt-1.1b` makes it"
        );
    }
}
