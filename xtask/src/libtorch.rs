//! The link `.libtorch`: tch compiles against the libtorch there, and programs load that libtorch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::TorchBuild;
use crate::project::Project;

/// The release that tch 0.24 binds. A local build tag (`+cpu`, `+cu130`) may follow.
pub(crate) const VERSION: &str = "2.11.0";

const LINK: &str = ".libtorch";

/// The user's `LIBTORCH`, if there is one.
///
/// # Errors
///
/// When the value is not an absolute path, or leads to no libtorch of the right version.
pub(crate) fn of_user(project: &Project) -> Result<Option<&Path>> {
    let Some(libtorch) = &project.environment.libtorch else {
        return Ok(None);
    };
    ensure!(
        libtorch.is_absolute(),
        "LIBTORCH is {}, expected an absolute path: cargo runs build scripts in other folders",
        libtorch.display()
    );
    check(libtorch).context("LIBTORCH cannot be used; correct it, or unset it to use PyTorch's")?;
    Ok(Some(libtorch))
}

/// Points `.libtorch` at the user's libtorch, else at the torch package of `.venv`.
///
/// A link that leads to a usable libtorch is kept. The link remembers the `LIBTORCH` of an earlier call, so an
/// editor that was started without that variable builds against the same library.
///
/// # Errors
///
/// When `.venv` has no usable torch, or `.libtorch` is a file and not a link.
pub(crate) fn link(project: &Project, of_user: Option<&Path>) -> Result<()> {
    let link = project.path(LINK);
    if let Some(libtorch) = of_user {
        return replace(&link, libtorch);
    }
    if is_linked(project, None) {
        return Ok(());
    }
    let torch = torch_in_venv(project)?;
    check(&project.path(&torch)).context("delete .venv and run the command again")?;
    replace(&link, torch.as_ref())
}

/// Whether [`link`] would change nothing.
pub(crate) fn is_linked(project: &Project, of_user: Option<&Path>) -> bool {
    let link = project.path(LINK);
    match of_user {
        Some(libtorch) => fs::read_link(&link).is_ok_and(|current| current == libtorch),
        None => check(&link).is_ok(),
    }
}

/// The build of torch in `.venv`; `None` without a torch there.
pub(crate) fn build_in_venv(project: &Project) -> Option<TorchBuild> {
    let torch = torch_in_venv(project).ok()?;
    let cuda = project.path(torch).join("lib/libtorch_cuda.so");
    Some(if cuda.exists() {
        TorchBuild::Cuda
    } else {
        TorchBuild::Cpu
    })
}

/// The torch package of `.venv`. The path is relative to the root, so that the checkout can be moved.
fn torch_in_venv(project: &Project) -> Result<String> {
    let lib = project.path(".venv/lib");
    let entries = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        let torch = format!(".venv/lib/{}/site-packages/torch", name.display());
        if project.path(&torch).is_dir() {
            return Ok(torch);
        }
    }
    bail!(
        "{} holds no torch: delete .venv and run again",
        lib.display()
    )
}

/// Checks that a folder is a libtorch of the right version.
fn check(libtorch: &Path) -> Result<()> {
    let found = version(libtorch)?;
    ensure!(
        found.split('+').next() == Some(VERSION),
        "{} is libtorch {found}, expected {VERSION}, the release that tch 0.24 is made for",
        libtorch.display()
    );
    Ok(())
}

/// Reads the version of a libtorch archive (`build-version`) or of a torch wheel (`version.py`).
fn version(libtorch: &Path) -> Result<String> {
    if let Ok(text) = fs::read_to_string(libtorch.join("build-version")) {
        return Ok(text.trim().to_owned());
    }
    let Ok(text) = fs::read_to_string(libtorch.join("version.py")) else {
        bail!(
            "{} is no libtorch: it has neither build-version nor version.py",
            libtorch.display()
        );
    };
    text.lines()
        .find_map(|line| line.strip_prefix("__version__ = "))
        .map(|value| value.trim_matches(['\'', '"']).to_owned())
        .with_context(|| format!("{}/version.py names no version", libtorch.display()))
}

fn replace(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    if link.is_symlink() {
        fs::remove_file(link).with_context(|| format!("cannot replace {}", link.display()))?;
    }
    symlink(target, link).with_context(|| {
        format!(
            "cannot link {} to {}: is something else in its place?",
            link.display(),
            target.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// An empty folder for one test.
    fn folder(test: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("xtask-libtorch-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_archive_and_the_wheel_both_tell_their_version() {
        let archive = folder("archive");
        fs::write(archive.join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(version(&archive).unwrap(), "2.11.0+cpu");

        let wheel = folder("wheel");
        let text = "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        fs::write(wheel.join("version.py"), text).unwrap();
        assert_eq!(version(&wheel).unwrap(), "2.11.0+cu130");
        assert!(check(&wheel).is_ok());
    }

    #[test]
    fn another_release_is_refused_with_both_numbers() {
        let old = folder("old");
        fs::write(old.join("build-version"), "2.10.0+cpu").unwrap();
        let error = check(&old).unwrap_err().to_string();
        assert!(
            error.contains("2.10.0+cpu") && error.contains("expected 2.11.0"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_a_version_is_no_libtorch() {
        let error = check(&folder("empty")).unwrap_err().to_string();
        assert!(error.contains("is no libtorch"), "{error}");
    }

    #[test]
    fn a_link_is_replaced_even_when_it_leads_nowhere() {
        let folder = folder("link");
        let link = folder.join("link");
        symlink("gone", &link).unwrap();
        replace(&link, Path::new("new")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("new"));
    }

    #[test]
    fn what_is_no_link_is_left_alone() {
        let folder = folder("file");
        let file = folder.join("file");
        fs::write(&file, "precious").unwrap();
        assert!(replace(&file, Path::new("new")).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
