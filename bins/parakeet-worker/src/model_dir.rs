//! Finds the bundle of the model that a user names by path or by id.

use std::path::{Path, PathBuf};

use parakeet_model::{Bundles, InvalidModelId, UnknownModel};

/// The model if neither flag nor environment names one.
pub(crate) const DEFAULT_MODEL: &str = "nvidia/parakeet-rnnt-0.6b";

/// The bundle's folder for `model`: `model` itself if it is a folder, else the folder in `bundles` for this id.
///
/// # Errors
///
/// [`NoSuchModel`]. Its sentence lists the available models and names the command that makes this one.
pub(crate) fn find(model: &str, bundles: &Bundles) -> Result<PathBuf, NoSuchModel> {
    if Path::new(model).is_dir() {
        return Ok(model.into());
    }
    match model.parse() {
        Ok(id) => Ok(bundles.find(&id)?),
        Err(source) => Err(NoSuchModel::Invalid {
            name: model.to_owned(),
            source,
        }),
    }
}

/// Why a name is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuchModel {
    /// An id without a bundle.
    #[error(transparent)]
    Unknown(#[from] UnknownModel),
    /// Neither a folder nor an id.
    #[error("there is no folder {name}")]
    Invalid {
        /// The name.
        name: String,
        /// Why the name is no id.
        source: InvalidModelId,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_and_an_id_is_looked_for() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = root.path().join("nvidia--parakeet-rnnt-0.6b");
        fs::create_dir(&folder).expect("it can be made");
        fs::write(folder.join("manifest.json"), "{}").expect("it can be written");
        let bundles = Bundles::new(Some(root.path().to_owned()));
        for name in [&*folder.display().to_string(), "parakeet-0.6b"] {
            assert_eq!(find(name, &bundles), Ok(folder.clone()), "{name}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_no_id_that_leads_out_of_the_root() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let bundles = Bundles::new(Some(root.path().to_owned()));
        for name in ["../outside", "/no/such/folder", ".."] {
            let found = find(name, &bundles);
            let is_there = Path::new(name).is_dir();
            assert_eq!(found.is_ok(), is_there, "{name}: {found:?}");
        }
    }
}
