//! Builds the image without docker: this file replaces the first stages, buildah runs the last stage.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::container::{STAGES, last_stage};
use super::sizes::{five_largest, print_layers};
use super::{FOLDER, IMAGE, RECORDING, answers, show};
use crate::export::TINY;
use crate::process::{capture, run as run_command};
use crate::project::Project;
use crate::supply;

const BASE: &str = "parakeet-base";

/// Folders that nobody reads in a container. Debian's image for containers leaves them out as well.
const UNREAD: [&str; 6] = ["doc", "info", "lintian", "linda", "locale", "man"];

/// Builds the image, prints the sizes of its parts, and transcribes a recording in the image.
pub(super) fn build(project: &Project) -> Result<()> {
    let stages = project.path(FOLDER).join("stages");
    if stages.exists() {
        fs::remove_dir_all(&stages)
            .with_context(|| format!("cannot empty {}", stages.display()))?;
    }
    for stage in STAGES {
        let folder = stages.join(stage);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    tools(project, &stages.join("tools"))?;
    libtorch(project, &stages.join("libtorch"))?;
    export(project, &stages.join("export"))?;
    compile(project, &stages.join("build"))?;
    base(project)?;
    image(project, &stages)?;

    let root = mounted(project)?;
    let outcome = try_out(project, &root);
    print_layers(&stages, &root)?;
    five_largest(&root)?;
    run_command(project.command("buildah").args(["rm", IMAGE]))?;
    outcome
}

fn tools(project: &Project, folder: &Path) -> Result<()> {
    copy(
        project,
        "/etc/ssl/certs/ca-certificates.crt",
        folder,
        "etc/ssl/certs",
    )
}

fn libtorch(project: &Project, folder: &Path) -> Result<()> {
    project.announce("copying what the worker loads of libtorch");
    let torch = fs::canonicalize(project.path(".libtorch")).context("cannot follow .libtorch")?;
    let packages = torch.parent().context(".libtorch leads to no package")?;
    let mut script = project.command("deploy/image/copy-libtorch.sh");
    run_command(
        script
            .arg("cpu")
            .arg(packages)
            .arg(folder.join("opt/parakeet")),
    )
}

fn export(project: &Project, folder: &Path) -> Result<()> {
    for name in ["manifest.json", "vocabulary.json", "model.float32.pt"] {
        let inside = "opt/parakeet/models/parakeet-rnnt-tiny";
        copy(project, &format!("{TINY}/{name}"), folder, inside)?;
    }
    Ok(())
}

/// Compiles with the flags of the Dockerfile, and maps paths to those in the Dockerfile's stage. Therefore
/// the same sources give the same program in any folder, except for the order of constant strings, which the
/// linker chooses.
fn compile(project: &Project, folder: &Path) -> Result<()> {
    project.announce("compiling the worker (the first time takes minutes)");
    let root = project.path("");
    let mut flags = vec![
        "-Clink-arg=-Wl,-rpath,$ORIGIN/../torch/lib".to_owned(),
        format!(
            "--remap-path-prefix={}=/src",
            root.display().to_string().trim_end_matches('/')
        ),
    ];
    if let Some(home) = &project.environment.cargo_home {
        flags.push(format!(
            "--remap-path-prefix={}=/usr/local/cargo",
            home.display()
        ));
    }
    // A digest of the content as build id, so that two builds can be compared.
    flags.push("-Clink-arg=-Wl,--build-id=sha1".to_owned());
    let mut build = project.cargo("build --locked --release --package parakeet-worker");
    build.args(["--target-dir", FOLDER]);
    run_command(build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))?;
    let program = format!("{FOLDER}/release/parakeet-worker");
    copy(project, &program, folder, "opt/parakeet/bin")?;
    // Backtraces keep the names of functions. The line tables, four fifths of the file, are removed.
    let mut strip = project.command("strip");
    let program = folder.join("opt/parakeet/bin/parakeet-worker");
    run_command(strip.arg("--strip-debug").arg(program))?;
    let licences = folder.join("opt/parakeet/licenses/parakeet");
    supply::write_all(project, &licences, &[])
}

/// Copies a file into the folder `inside` of a stage.
fn copy(project: &Project, file: &str, stage: &Path, inside: &str) -> Result<()> {
    let mut install = project.command("install");
    install.args(["-D", "--preserve-timestamps", "--target-directory"]);
    run_command(install.arg(stage.join(inside)).arg(file))
}

/// Makes an image of one layer with Debian's essential packages. The tar file is kept for the next run.
fn base(project: &Project) -> Result<()> {
    let tar = project.path(FOLDER).join("base.tar");
    if !tar.exists() {
        project.announce("making a Debian");
        let mut mmdebstrap = project.command("mmdebstrap");
        mmdebstrap.arg("--variant=minbase");
        for folder in UNREAD {
            mmdebstrap.arg(format!("--dpkgopt=path-exclude=/usr/share/{folder}/*"));
        }
        // The licences of the packages do not permit leaving these files out.
        mmdebstrap.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
        run_command(mmdebstrap.arg("bookworm").arg(&tar))?;
    }
    container(project, BASE, "scratch")?;
    run_command(
        project
            .command("buildah")
            .args(["add", "--quiet", BASE])
            .arg(&tar),
    )?;
    run_command(
        project
            .command("buildah")
            .args(["commit", "--quiet", "--rm", BASE, BASE]),
    )
}

/// Makes a container of an image. A container of the same name from an earlier run is removed first.
fn container(project: &Project, name: &str, image: &str) -> Result<()> {
    if answers("buildah", &["inspect", "--type", "container", name]) {
        run_command(project.command("buildah").args(["rm", name]))?;
    }
    let mut from = project.command("buildah");
    run_command(from.args(["from", "--pull-never", "--name", name, image]))
}

fn image(project: &Project, stages: &Path) -> Result<()> {
    project.announce("building the image with buildah");
    let dockerfile = project.path("Dockerfile");
    let text = fs::read_to_string(&dockerfile).context("cannot read the Dockerfile")?;
    let commands = project.path(FOLDER).join("Containerfile");
    fs::write(&commands, last_stage(&text)?).context("cannot write the Containerfile")?;
    let revision = capture(project.command("git").args(["rev-parse", "HEAD"]))?;
    let mut build = project.command("buildah");
    // Docker's format, because the OCI format has no health check. One layer for each command.
    build.args([
        "build", "--format", "docker", "--layers", "--tag", IMAGE, "--file",
    ]);
    build.arg(&commands);
    for stage in STAGES {
        let context = format!("{stage}={}", stages.join(stage).display());
        build.args(["--build-context", &context]);
    }
    for argument in [
        format!("BASE_IMAGE=localhost/{BASE}"),
        "DEFAULT_MODEL=parakeet-rnnt-tiny".to_owned(),
        format!("REVISION={}", revision.trim()),
    ] {
        build.args(["--build-arg", &argument]);
    }
    run_command(build.arg("."))
}

/// The folder at which the files of the image are mounted.
fn mounted(project: &Project) -> Result<PathBuf> {
    container(project, IMAGE, &format!("localhost/{IMAGE}"))?;
    let root = capture(project.command("buildah").args(["mount", IMAGE]))?;
    Ok(PathBuf::from(root.trim()))
}

/// Transcribes in the image, in separate namespaces: without a network, with a read-only root and an empty
/// writable /tmp, as a user without privileges.
const TRY_OUT: &str = r#"
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$1/mnt"
mount --bind /dev "$1/dev"
mount -o remount,bind,ro "$1/mnt"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$1" \
    env -i -C /opt/parakeet DALSTON_DEFAULT_MODEL=parakeet-rnnt-tiny \
    bin/parakeet-worker transcribe "/mnt/$3"
"#;

fn try_out(project: &Project, root: &Path) -> Result<()> {
    project.announce("transcribing in the image: another user, root read-only, no network");
    let recording = project.path(RECORDING);
    let (folder, name) = recording
        .parent()
        .zip(recording.file_name())
        .context("a recording lies in a folder")?;
    let mut isolated = project.command("unshare");
    isolated.args([
        "--mount", "--net", "--pid", "--ipc", "--fork", "sh", "-euc", TRY_OUT, "sh",
    ]);
    show(&capture(isolated.arg(root).arg(folder).arg(name))?)
}
