//! The repository and the environment in which a command runs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The paths of the checkout, and the settings from the user's environment.
pub(crate) struct Project {
    root: PathBuf,
    /// The variables that `main` read.
    pub(crate) environment: Environment,
    started: Instant,
}

/// The environment variables that xtask reads, once, in `main`. The default is an environment without them.
#[derive(Default)]
pub(crate) struct Environment {
    /// `CARGO_MANIFEST_DIR`: the folder `xtask` of the checkout. `cargo run` sets it; tests set it to run the
    /// program on another checkout.
    pub(crate) manifest_dir: Option<PathBuf>,
    /// `LIBTORCH`: a libtorch that replaces the one in `.venv`.
    pub(crate) libtorch: Option<PathBuf>,
    /// `CXX`: the C++ compiler, perhaps with flags; `c++` if absent.
    pub(crate) cxx: Option<String>,
    /// `CARGO_TARGET_DIR`: the folder in which cargo builds; `target` if absent.
    pub(crate) target_dir: Option<PathBuf>,
    /// `CARGO_HOME`: the folder with the sources of dependencies. `cargo run` sets it.
    pub(crate) cargo_home: Option<PathBuf>,
    /// `DALSTON_MODEL_DIR`: the folder in which the worker looks for bundles; `models` if absent.
    pub(crate) model_dir: Option<PathBuf>,
    /// `CI=true`: a skipped test is a failure.
    pub(crate) ci: bool,
}

impl Project {
    /// The checkout of `manifest_dir`, else the one in which this xtask was compiled. Starts the clock of
    /// [`announce`](Self::announce).
    pub(crate) fn new(mut environment: Environment) -> Self {
        let manifest_dir = environment.manifest_dir.as_deref();
        let root = manifest_dir
            .unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")))
            .parent()
            .expect("the xtask package lies one folder below the root")
            .to_owned();
        // `.cargo/config.toml` sets LIBTORCH to this value for every process that cargo starts, xtask
        // included. Such a value is not the user's choice.
        environment.libtorch.take_if(|libtorch| {
            libtorch.as_os_str().is_empty() || *libtorch == root.join(".libtorch")
        });
        Self {
            root,
            environment,
            started: Instant::now(),
        }
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// A path in the folder in which cargo builds, `release/parakeet-worker` for example.
    pub(crate) fn built(&self, relative: &str) -> PathBuf {
        let folder = self.environment.target_dir.as_deref();
        let folder = self.root.join(folder.unwrap_or(Path::new("target")));
        folder.join(relative)
    }

    /// The folder in which the worker looks for the bundle of a model: in `DALSTON_MODEL_DIR` or `models`, the
    /// model's id with `--` in place of `/`.
    pub(crate) fn bundle(&self, model_id: &str) -> PathBuf {
        let folder = self.environment.model_dir.as_deref();
        let folder = self.root.join(folder.unwrap_or(Path::new("models")));
        folder.join(model_id.replace('/', "--"))
    }

    /// A command that runs in the root of the checkout, so that relative paths in its arguments and its output
    /// do not depend on the folder of the caller.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo` with these arguments, which are separated by blanks, in the root of the checkout.
    pub(crate) fn cargo(&self, arguments: &str) -> Command {
        let mut command = self.command("cargo");
        command.args(arguments.split_whitespace());
        command
    }

    /// Prints which step begins, with the seconds since the start of xtask.
    pub(crate) fn announce(&self, step: &str) {
        eprintln!("[{:>4} s] {step}", self.started.elapsed().as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtorch_of(value: Option<&str>) -> Option<PathBuf> {
        Project::new(Environment {
            libtorch: value.map(Into::into),
            ..Environment::default()
        })
        .environment
        .libtorch
    }

    #[test]
    fn a_libtorch_of_the_user_is_kept() {
        assert_eq!(
            libtorch_of(Some("/opt/libtorch")),
            Some("/opt/libtorch".into())
        );
    }

    #[test]
    fn a_bundle_lies_where_the_worker_looks() {
        let mut project = Project::new(Environment::default());
        let id = "nvidia/parakeet-rnnt-0.6b";
        let in_models = project.path("models/nvidia--parakeet-rnnt-0.6b");
        assert_eq!(project.bundle(id), in_models);
        project.environment.model_dir = Some("/data".into());
        assert_eq!(
            project.bundle(id),
            Path::new("/data/nvidia--parakeet-rnnt-0.6b")
        );
    }

    #[test]
    fn the_value_that_cargo_sets_is_not_a_wish_of_the_user() {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .join(".libtorch");
        assert_eq!(libtorch_of(ours.to_str()), None);
        assert_eq!(libtorch_of(Some("")), None);
    }
}
