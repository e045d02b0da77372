//! Finds programs of the system, and installs missing ones.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::{capture, run};
use crate::project::Project;

/// The path of the program that a shell would start under this name.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let script = format!("command -v {name}");
    let output = Command::new("sh").args(["-c", &script]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// Installs the Debian package that has the same name as its program.
///
/// # Errors
///
/// When the system is not Debian, the user is not root, or apt fails; apt has printed why.
pub(crate) fn install(project: &Project, name: &str) -> Result<PathBuf> {
    let user = capture(Command::new("id").arg("-u"))?;
    ensure!(
        user.trim() == "0" && on_path("apt-get").is_some(),
        "there is no {name} on the PATH, and only root on Debian may install one: install it, for example \
         with `sudo apt install {name}`"
    );
    project.announce(&format!("installing Debian's {name}"));
    // With this RUNLEVEL, a package does not start its server on installation. Another apt-get at work is waited
    // for.
    run(Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=600"])
        .args(["install", "--yes", "--no-install-recommends", name])
        .envs([("RUNLEVEL", "1"), ("DEBIAN_FRONTEND", "noninteractive")]))?;
    on_path(name).with_context(|| format!("the package {name} brought no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_the_shell_finds_it() {
        assert!(on_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(on_path("no-such-program"), None);
    }
}
