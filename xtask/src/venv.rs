//! Makes a Python environment inside the checkout, once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::prerequisites;
use crate::process::{capture, run};
use crate::project::Project;

/// A virtual environment with pinned packages, in a folder of the checkout that git ignores.
pub(crate) struct Venv {
    /// Folder in the root of the checkout.
    pub(crate) folder: &'static str,
    /// What pip is asked for.
    pub(crate) packages: &'static [&'static str],
    /// What the user waits for: printed before the download begins.
    pub(crate) download: &'static str,
    /// Free disk space, in gigabytes, below which the download is not begun.
    pub(crate) needed_gb: u64,
}

impl Venv {
    /// Makes the environment unless it is there, whole and as described.
    ///
    /// The stamp is written last. Without it, or when it names other packages or another Python
    /// than the folder holds now, everything is installed afresh: a half-installed package is not
    /// worth repairing while pip's cache holds the download.
    ///
    /// # Errors
    ///
    /// One sentence on what is missing: a fit Python, disk space, or what pip says it is.
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

        // pip unpacks where TMPDIR says. /tmp is small on many systems; this disk was checked.
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

    /// The environment's interpreter, to run in the root of the checkout.
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

    /// The interpreter's version and the packages: a Python upgraded under the environment leaves
    /// it without its packages, so the version is asked for and not remembered.
    fn stamp(&self, project: &Project) -> Result<String> {
        let version = capture(self.python(project).arg("--version"))?;
        Ok(format!("{version}{}\n", self.packages.join("\n")))
    }
}
