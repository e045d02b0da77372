//! Makes Python environments inside the checkout.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::prerequisites;
use crate::process::{capture, run};
use crate::project::Project;

/// A virtual environment with pinned packages, in a folder of the checkout. Git must ignore that folder.
pub(crate) struct Venv {
    /// The name of the folder in the root of the checkout.
    pub(crate) folder: &'static str,
    /// The arguments of `pip install`.
    pub(crate) packages: &'static [&'static str],
    /// The description of the download, printed before it begins.
    pub(crate) download: &'static str,
    /// The free disk space that the installation needs, in gigabytes.
    pub(crate) needed_gb: u64,
}

impl Venv {
    /// Makes the environment, unless it exists, is complete, and has these packages.
    ///
    /// The stamp is written last, so a stamp proves a complete installation. If the stamp is missing, or
    /// names other packages or another Python, everything is installed again: pip's cache has the downloads,
    /// so a new installation is cheaper than the repair of a partial one.
    ///
    /// # Errors
    ///
    /// When a usable Python or disk space is missing, or pip fails; the message says what to do.
    pub(crate) fn ensure(&self, project: &Project) -> Result<()> {
        if self.is_complete(project) {
            return Ok(());
        }
        let python = prerequisites::python()?;
        prerequisites::disk_space(&project.path(""), self.needed_gb)?;
        project.announce(&format!("making {}: {}", self.folder, self.download));
        run(project
            .command(python)
            .args(["-m", "venv", "--clear", self.folder]))?;

        // pip unpacks into TMPDIR. /tmp is small on many systems; the disk of the checkout was checked above.
        let temporary = project.path(self.folder).join("tmp");
        fs::create_dir(&temporary)
            .with_context(|| format!("cannot create {}", temporary.display()))?;
        run(self
            .python(project)
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
            ])
            .args(self.packages)
            .env("TMPDIR", &temporary))
        .context(
            "pip could not install the packages (its own words are above): check the network, the \
             proxy (HTTPS_PROXY) and the free disk space, then run the same command again",
        )?;
        fs::remove_dir_all(&temporary)
            .with_context(|| format!("cannot remove {}", temporary.display()))?;

        let stamp = self.stamp_path(project);
        fs::write(&stamp, self.stamp(project)?)
            .with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// The command of the environment's interpreter, in the root of the checkout.
    ///
    /// PYTHONPATH names the folder of the packages `exporter` and `parity`, for `-m exporter.export`.
    pub(crate) fn python(&self, project: &Project) -> Command {
        let mut python = project.command(project.path(self.folder).join("bin/python"));
        python.env("PYTHONPATH", project.path("xtask/python"));
        python
    }

    fn is_complete(&self, project: &Project) -> bool {
        let Ok(found) = fs::read_to_string(self.stamp_path(project)) else {
            return false;
        };
        self.stamp(project).is_ok_and(|expected| expected == found)
    }

    fn stamp_path(&self, project: &Project) -> PathBuf {
        project.path(self.folder).join("installed.txt")
    }

    /// The interpreter's version and the packages. Every call asks for the version, because an upgrade of the
    /// system's Python leaves the environment without its packages.
    fn stamp(&self, project: &Project) -> Result<String> {
        let version = capture(self.python(project).arg("--version"))?;
        Ok(format!("{version}{}\n", self.packages.join("\n")))
    }
}
