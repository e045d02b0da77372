//! `cargo xtask setup`: prepares a fresh checkout for plain cargo.

use std::fs;

use anyhow::{Result, ensure};

use crate::cli::{SetupArguments, TorchBuild};
use crate::lock::Lock;
use crate::process::run as run_command;
use crate::project::Project;
use crate::venv::Venv;
use crate::{libtorch, prerequisites, torch};

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
    contents: CONTENTS,
    download_mb: DOWNLOAD_MB,
    needed_gb: NEEDED_GB,
};

/// Sizes as pip 23 printed them, and as `du` measured them, for Python 3.11.
const CONTENTS: &str = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "PyTorch 2.11 with its CUDA libraries, 4.7 GB on disk"
} else if cfg!(target_os = "macos") {
    "PyTorch 2.11, 0.5 GB on disk"
} else {
    "PyTorch 2.11"
};

const DOWNLOAD_MB: Option<u64> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some(2700)
} else if cfg!(target_os = "macos") {
    Some(100)
} else {
    None
};

/// During the installation the disk has the download twice, once in pip's cache, and the unpacked files.
const NEEDED_GB: u64 = if cfg!(target_os = "linux") { 12 } else { 3 };

/// The same for the build for CPUs.
const NEEDED_GB_CPU: u64 = 3;

/// Runs every step and prints what is ready.
pub(crate) fn run(project: &Project, arguments: &SetupArguments) -> Result<()> {
    torch::check_system(arguments.torch)?;
    ensure_build(project, arguments.torch)?;
    let libtorch = fs::canonicalize(project.path(".libtorch"))?;
    project.announce(&format!(
        "ready: plain cargo builds everything against {}",
        libtorch.display()
    ));
    Ok(())
}

/// Makes what is missing, with any build of torch. If nothing is missing, uses no network and writes no file.
/// Waits while another command makes it.
///
/// # Errors
///
/// When something cannot be provided; the message names it and says how to get it.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    ensure_build(project, None)
}

fn ensure_build(project: &Project, wanted: Option<TorchBuild>) -> Result<()> {
    prerequisites::cxx_compiler(project.environment.cxx.as_deref())?;
    let of_user = libtorch::of_user(project)?;
    if let Some(libtorch) = of_user {
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
    if has_exporter(project, wanted) && libtorch::is_linked(project, of_user) {
        return Ok(());
    }
    // One lock for both: the link leads into the environment.
    let lock = Lock::acquire(project, EXPORTER.folder)?;
    // The command that held the lock may have made it.
    if !has_exporter(project, wanted) {
        make_exporter(project, &lock, wanted)?;
    }
    libtorch::link(project, of_user)
}

/// Whether the exporter's environment is complete, with the wanted build of torch.
fn has_exporter(project: &Project, wanted: Option<TorchBuild>) -> bool {
    EXPORTER.is_complete(project)
        && wanted.is_none_or(|wanted| libtorch::build_in_venv(project) == Some(wanted))
}

fn make_exporter(project: &Project, lock: &Lock, wanted: Option<TorchBuild>) -> Result<()> {
    let before = libtorch::build_in_venv(project);
    // A complete environment is kept until an index has offered the other build.
    let is_complete = EXPORTER.is_complete(project);
    if !is_complete {
        EXPORTER.create(project, lock)?;
    }
    let needed = wanted.unwrap_or_else(torch::needed_here);
    let for_cpu = match needed {
        TorchBuild::Cpu => torch::cpu_build(project, &EXPORTER)?,
        TorchBuild::Cuda => None,
    };
    let is_missing = needed == TorchBuild::Cpu && for_cpu.is_none() && cfg!(target_os = "linux");
    if is_missing && is_complete {
        project.announce("no index offers torch for CPUs alone: .venv stays as it is");
        return Ok(());
    }
    if is_missing {
        project.announce("no index offers torch for CPUs alone: taking the one with CUDA");
    }
    if for_cpu.is_some() {
        project.announce(
            "making .venv: PyTorch 2.11 for CPUs alone; `cargo xtask setup --torch cuda` takes the other",
        );
    } else {
        EXPORTER.announce(project);
    }
    if is_complete {
        EXPORTER.create(project, lock)?;
    }
    if let Some(arguments) = &for_cpu {
        prerequisites::disk_space(&project.path(""), NEEDED_GB_CPU)?;
        // The packages of the environment then find their torch installed, so pip takes only the other ones,
        // from the index that it is set to use.
        EXPORTER.install(project, lock, arguments)?;
    } else {
        prerequisites::disk_space(&project.path(""), EXPORTER.needed_gb)?;
    }
    EXPORTER.install(project, lock, EXPORTER.packages)?;
    EXPORTER.finish(project)?;

    let after = libtorch::build_in_venv(project);
    ensure!(
        wanted != Some(TorchBuild::Cuda) || after == wanted,
        "pip's index gave a torch without CUDA: set PIP_INDEX_URL to an index with CUDA's build, as the \
         default index is, and run the same command again"
    );
    if before == Some(TorchBuild::Cuda) && after == Some(TorchBuild::Cpu) {
        forget_torch_sys(project)?;
    }
    Ok(())
}

/// Makes cargo compile torch-sys again: its build script told the linker to link libtorch_cuda, which is gone, and
/// cargo cannot know.
fn forget_torch_sys(project: &Project) -> Result<()> {
    if !project.built("").exists() {
        return Ok(());
    }
    project.announce("the next build compiles torch-sys again, for the other torch");
    for profile in ["dev", "release"] {
        let clean = format!("clean --quiet --package torch-sys --profile {profile}");
        run_command(&mut project.cargo(&clean))?;
    }
    Ok(())
}
