//! Makes Python environments inside the checkout.

use std::ffi::OsStr;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::lock::Lock;
use crate::prerequisites;
use crate::process::{capture, run, run_watched};
use crate::project::Project;

/// How often a line tells how much is downloaded, where pip draws no bar.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// A virtual environment with pinned packages, in a folder of the checkout. Git must ignore that folder.
pub(crate) struct Venv {
    /// The name of the folder in the root of the checkout.
    pub(crate) folder: &'static str,
    /// The arguments of `pip install`.
    pub(crate) packages: &'static [&'static str],
    /// The description of the contents, printed before the download begins.
    pub(crate) contents: &'static str,
    /// The size of the download in megabytes, if it is known.
    pub(crate) download_mb: Option<u64>,
    /// The free disk space that the installation needs, in gigabytes.
    pub(crate) needed_gb: u64,
}

impl Venv {
    /// Makes the environment, unless it exists, is complete, and has these packages. Waits while another command
    /// makes it.
    ///
    /// # Errors
    ///
    /// When a usable Python or disk space is missing, or pip fails; the message says what to do.
    pub(crate) fn ensure(&self, project: &Project) -> Result<()> {
        if self.is_complete(project) {
            return Ok(());
        }
        let lock = Lock::acquire(project, self.folder)?;
        // The command that held the lock may have made it.
        if self.is_complete(project) {
            return Ok(());
        }
        self.create(project, &lock)?;
        prerequisites::disk_space(&project.path(""), self.needed_gb)?;
        self.announce(project);
        self.install(project, &lock, self.packages)?;
        self.finish(project)
    }

    /// Whether the environment has these packages, for the Python of today.
    ///
    /// The stamp is written last and removed first, so a stamp proves a complete installation. If the stamp is
    /// missing, or names other packages or another Python, everything is installed again: pip's cache has the
    /// downloads, so a new installation is cheaper than the repair of a partial one.
    pub(crate) fn is_complete(&self, project: &Project) -> bool {
        let Ok(found) = fs::read_to_string(self.stamp_path(project)) else {
            return false;
        };
        self.stamp(project).is_ok_and(|expected| expected == found)
    }

    /// Makes the environment with pip and without packages, in place of what is there.
    ///
    /// # Errors
    ///
    /// When a usable Python is missing or cannot write the folder.
    pub(crate) fn create(&self, project: &Project, lock: &Lock) -> Result<()> {
        let python = prerequisites::python()?;
        let stamp = self.stamp_path(project);
        if stamp.exists() {
            fs::remove_file(&stamp)
                .with_context(|| format!("cannot remove {}", stamp.display()))?;
        }
        run(project
            .command(python)
            .args(["-m", "venv", "--clear", self.folder])
            .stdin(lock.stdin()?))
    }

    /// Prints what is about to be installed.
    pub(crate) fn announce(&self, project: &Project) {
        let download = self.download_mb.map(|mb| size(mb * 1_000_000));
        let download = download.map_or("pip shows the size".to_owned(), |size| {
            format!("{size} to download")
        });
        let (folder, contents) = (self.folder, self.contents);
        project.announce(&format!("making {folder}: {contents}, {download}"));
    }

    /// Runs `pip install` with these arguments. pip draws its progress on a terminal; elsewhere a line tells every
    /// ten seconds how much is downloaded.
    ///
    /// # Errors
    ///
    /// When pip fails; it has printed why.
    pub(crate) fn install<A: AsRef<OsStr>>(
        &self,
        project: &Project,
        lock: &Lock,
        arguments: &[A],
    ) -> Result<()> {
        // pip downloads and unpacks into TMPDIR. /tmp is small on many systems; the disk of the checkout was
        // checked.
        let temporary = project.path(self.folder).join("tmp");
        fs::create_dir_all(&temporary)
            .with_context(|| format!("cannot create {}", temporary.display()))?;
        let mut pip = self.python(project);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check"]);
        pip.arg("--no-input").args(arguments);
        pip.env("TMPDIR", &temporary).stdin(lock.stdin()?);
        // Otherwise pip's lines reach a log only at its end.
        pip.env("PYTHONUNBUFFERED", "1");
        let mut reported = 0;
        let outcome = run_watched(&mut pip, REPORT_EVERY, || {
            let downloaded = bytes_of_wheels(&temporary);
            if downloaded > reported && !std::io::stdout().is_terminal() {
                project.announce(&self.progress(downloaded));
                reported = downloaded;
            }
        });
        outcome.context(
            "pip could not install the packages (its own words are above): check the network, the \
             proxy (HTTPS_PROXY) and the free disk space, then run the same command again",
        )?;
        fs::remove_dir_all(&temporary)
            .with_context(|| format!("cannot remove {}", temporary.display()))
    }

    /// Marks the environment as complete.
    ///
    /// # Errors
    ///
    /// When the stamp cannot be written.
    pub(crate) fn finish(&self, project: &Project) -> Result<()> {
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

    fn progress(&self, downloaded: u64) -> String {
        let total = self
            .download_mb
            .map(|mb| format!(" of {}", size(mb * 1_000_000)));
        let (folder, downloaded) = (self.folder, size(downloaded));
        format!(
            "{folder}: downloaded {downloaded}{}",
            total.unwrap_or_default()
        )
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

/// The size of the wheels in pip's temporary folder. pip writes each wheel there as it comes and keeps all of them
/// until it installs. Files may disappear meanwhile; those count nothing.
fn bytes_of_wheels(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of_wheels(&entry.path()),
        Ok(metadata) if entry.path().extension() == Some(OsStr::new("whl")) => metadata.len(),
        _ => 0,
    });
    sizes.sum()
}

/// `48 MB` or `2.7 GB`.
fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{} MB", bytes / 1_000_000)
    } else {
        format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_two_or_three_digits() {
        assert_eq!(size(2_750_000_000), "2.7 GB");
        assert_eq!(size(48_900_000), "48 MB");
    }

    #[test]
    fn wheels_count_wherever_pip_puts_them_and_nothing_else_does() {
        let folder = std::env::temp_dir().join(format!("xtask-wheels-{}", std::process::id()));
        let unpack = folder.join("pip-unpack-a");
        fs::create_dir_all(&unpack).unwrap();
        fs::write(unpack.join("torch.whl"), [0; 700]).unwrap();
        fs::write(folder.join("numpy.whl"), [0; 30]).unwrap();
        // pip's cache writes each download a second time, into a file without that ending.
        fs::write(folder.join("tmpabc"), [0; 700]).unwrap();
        let bytes = bytes_of_wheels(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(bytes, 730);
        assert_eq!(bytes_of_wheels(&folder), 0);
    }

    #[test]
    fn progress_has_the_total_where_that_is_known() {
        let venv = |download_mb| Venv {
            folder: ".venv",
            packages: &[],
            contents: "PyTorch",
            download_mb,
            needed_gb: 1,
        };
        let known = venv(Some(2700)).progress(1_130_000_000);
        assert_eq!(known, ".venv: downloaded 1.1 GB of 2.7 GB");
        assert_eq!(venv(None).progress(3_000_000), ".venv: downloaded 3 MB");
    }
}
