//! Finds the bundle of a model among the folders that hold bundles.
//!
//! Each bundle has a folder, named by the model's canonical id with `/` written `--`:
//! `models/nvidia--parakeet-rnnt-0.6b`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bundle::manifest::ModelManifest;
use crate::bundle::model_id::ModelId;

/// The folders that hold bundles. If two of them hold a bundle of one model, the first wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundles {
    roots: Vec<PathBuf>,
}

impl Bundles {
    /// Bundles in `root` alone; without a root, bundles in `/models`, then those in `models` in the working
    /// directory.
    pub fn new(root: Option<PathBuf>) -> Self {
        let roots = root.map_or_else(
            || vec!["/models".into(), "models".into()],
            |root| vec![root],
        );
        Self { roots }
    }

    /// The folder of a model's bundle. The manifest must exist, but [`ModelManifest::read`] is what reads it.
    ///
    /// # Errors
    ///
    /// [`UnknownModel`], which lists the models that exist and names the command that makes this one.
    pub fn find(&self, id: &ModelId) -> Result<PathBuf, UnknownModel> {
        let mut folders = self.roots.iter().map(|root| root.join(id.folder()));
        folders
            .find(|folder| is_bundle(folder))
            .ok_or_else(|| UnknownModel {
                id: id.clone(),
                roots: self.roots.clone(),
                known: self.ids(),
            })
    }

    /// Every model that [`Bundles::find`] finds, in alphabetical order.
    pub fn ids(&self) -> Vec<ModelId> {
        let entries = self.roots.iter().filter_map(|root| fs::read_dir(root).ok());
        let mut ids: Vec<_> = entries
            .flatten()
            .flatten()
            .filter(|entry| is_bundle(&entry.path()))
            .filter_map(|entry| ModelId::of_folder(entry.file_name().to_str()?))
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

/// None of the folders holds a bundle of this model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownModel {
    /// The model that was asked for.
    pub id: ModelId,
    /// The folders that were searched.
    pub roots: Vec<PathBuf>,
    /// The models that have a bundle in them.
    pub known: Vec<ModelId>,
}

impl std::error::Error for UnknownModel {}

impl fmt::Display for UnknownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, roots, known } = self;
        let texts: Vec<_> = roots.iter().map(|it| it.display().to_string()).collect();
        write!(f, "there is no model {id} in {}; ", texts.join(" or "))?;
        if known.is_empty() {
            write!(f, "there is none at all; ")?;
        } else {
            let known: Vec<_> = known.iter().map(ModelId::as_str).collect();
            write!(f, "there is {}; ", known.join(", "))?;
        }
        let root = texts.last().map_or("models", String::as_str);
        let folder = id.folder();
        if id.is_on_a_hub() {
            write!(
                f,
                "`cargo xtask export-model {id} --out {root}/{folder}` makes it"
            )
        } else {
            write!(
                f,
                "`cargo xtask export-model FILE.nemo --model-id {id} --out {root}/{folder}` makes it \
                 from a checkpoint"
            )
        }
    }
}

fn is_bundle(folder: &Path) -> bool {
    folder.join(ModelManifest::FILE).is_file()
}

#[cfg(test)]
mod tests {
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

    fn id(name: &str) -> ModelId {
        name.parse().expect("it is a name")
    }

    /// The text of the error, with the root written as `models`.
    fn refusal(root: &tempfile::TempDir, name: &str) -> String {
        let why = Bundles::new(Some(root.path().to_owned())).find(&id(name));
        let why = why.expect_err("it is not there").to_string();
        why.replace(&root.path().display().to_string(), "models")
    }

    #[test]
    fn any_spelling_of_an_id_is_found_in_its_folder() {
        let root = root_with(&["nvidia--parakeet-rnnt-0.6b"]);
        let bundles = Bundles::new(Some(root.path().to_owned()));
        let folder = root.path().join("nvidia--parakeet-rnnt-0.6b");
        for name in [
            "nvidia/parakeet-rnnt-0.6b",
            "parakeet-rnnt-0.6b",
            "parakeet-0.6b",
        ] {
            assert_eq!(bundles.find(&id(name)), Ok(folder.clone()), "{name}");
        }
    }

    #[test]
    fn the_first_folder_that_has_it_wins() {
        let (one, two) = (root_with(&["b"]), root_with(&["a", "b"]));
        let roots = vec![one.path().to_owned(), two.path().to_owned()];
        let bundles = Bundles { roots };
        assert_eq!(bundles.find(&id("a")), Ok(two.path().join("a")));
        assert_eq!(bundles.find(&id("b")), Ok(one.path().join("b")));
        assert_eq!(bundles.ids(), [id("a"), id("b")]);
    }

    #[test]
    fn a_folder_without_a_manifest_is_no_bundle() {
        let root = root_with(&[]);
        fs::create_dir(root.path().join("a")).expect("it can be made");
        assert_eq!(
            refusal(&root, "a"),
            "there is no model a in models; there is none at all; `cargo xtask export-model FILE.nemo \
             --model-id a --out models/a` makes it from a checkpoint"
        );
    }

    #[test]
    fn an_unknown_model_is_answered_with_those_there_are_and_the_command_that_makes_it() {
        let root = root_with(&["nvidia--parakeet-ctc-0.6b", "parakeet-rnnt-tiny"]);
        assert_eq!(
            refusal(&root, "parakeet-1.1b"),
            "there is no model nvidia/parakeet-rnnt-1.1b in models; there is \
             nvidia/parakeet-ctc-0.6b, parakeet-rnnt-tiny; `cargo xtask export-model \
             nvidia/parakeet-rnnt-1.1b --out models/nvidia--parakeet-rnnt-1.1b` makes it"
        );
    }

    #[test]
    fn what_is_listed_is_found() {
        let root = root_with(&["parakeet-rnnt-tiny", "parakeet-rnnt-0.6b", "a--b--c", ".b"]);
        let bundles = Bundles::new(Some(root.path().to_owned()));
        assert_eq!(bundles.ids(), [id("parakeet-rnnt-tiny")]);
        for id in bundles.ids() {
            bundles.find(&id).expect("it was listed");
        }
    }
}
