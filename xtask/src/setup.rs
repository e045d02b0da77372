//! `cargo xtask setup`: prepares a fresh checkout for plain cargo.

use std::fs;

use anyhow::Result;

use crate::project::Project;
use crate::venv::Venv;
use crate::{libtorch, prerequisites};

/// The environment of the exporter. It also provides libtorch, unless the user has one.
///
/// torch is pinned to the release that tch 0.24 links. numpy is not needed, but without numpy torch warns at
/// every start.
pub(crate) const EXPORTER: Venv = Venv {
    folder: ".venv",
    packages: &[
        "torch==2.11.0",
        "numpy>=1.26",
        "PyYAML>=6",
        "sentencepiece>=0.2",
    ],
    download: DOWNLOAD,
    needed_gb: NEEDED_GB,
};

/// Sizes as pip 23 printed them, and as `du` measured them, for Python 3.11.
const DOWNLOAD: &str = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "PyTorch 2.11 with its CUDA libraries, 2.7 GB to download, 4.7 GB on disk"
} else if cfg!(target_os = "macos") {
    "PyTorch 2.11, about 0.1 GB to download, 0.5 GB on disk"
} else {
    "PyTorch 2.11; pip shows how much there is to download"
};

/// During the installation the disk has the download twice, once in pip's cache, and the unpacked files.
const NEEDED_GB: u64 = if cfg!(target_os = "linux") { 12 } else { 3 };

/// Runs every step and prints what is ready.
pub(crate) fn run(project: &Project) -> Result<()> {
    ensure(project)?;
    let libtorch = fs::canonicalize(project.path(".libtorch"))?;
    project.announce(&format!(
        "ready: plain cargo builds everything against {}",
        libtorch.display()
    ));
    Ok(())
}

/// Makes what is missing. If nothing is missing, uses no network and writes no file.
///
/// # Errors
///
/// When something cannot be provided; the message names it and says how to get it.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    prerequisites::cxx_compiler(project.environment.cxx.as_deref())?;
    let libtorch = libtorch::of_user(project)?;
    if let Some(libtorch) = libtorch {
        project.announce(&format!(
            "compiling against your LIBTORCH, {}; the exporter runs on a torch of its own in .venv",
            libtorch.display()
        ));
    }
    if project.environment.target_dir.is_some() {
        let variable = if cfg!(target_os = "macos") {
            "DYLD_LIBRARY_PATH"
        } else {
            "LD_LIBRARY_PATH"
        };
        project.announce(&format!(
            "CARGO_TARGET_DIR is set: what is built there finds libtorch only with {variable}={}",
            project.path(".libtorch/lib").display()
        ));
    }
    EXPORTER.ensure(project)?;
    libtorch::link(project, libtorch)
}
