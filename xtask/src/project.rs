//! The repository and the environment that a command works in.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Where things lie and what the user's environment asks for.
pub(crate) struct Project {
    root: PathBuf,
    /// What `main` read from the process environment.
    pub(crate) environment: Environment,
    started: Instant,
}

/// The environment variables that change what xtask does; read once, in `main`.
pub(crate) struct Environment {
    /// `LIBTORCH`: a libtorch to use instead of the one in `.venv`.
    pub(crate) libtorch: Option<PathBuf>,
    /// `CXX`: the C++ compiler, with flags perhaps; `c++` when absent.
    pub(crate) cxx: Option<String>,
    /// `CARGO_TARGET_DIR`: where cargo builds when it is not in `target`.
    pub(crate) target_dir: Option<PathBuf>,
    /// `CARGO_HOME`, which cargo sets for what it runs: where its sources are.
    pub(crate) cargo_home: Option<PathBuf>,
    /// `DALSTON_MODEL_DIR`: where the worker looks for bundles when it is not in `models`.
    pub(crate) model_dir: Option<PathBuf>,
    /// `CI=true`: a skipped test is a failure.
    pub(crate) ci: bool,
}

impl Project {
    /// The checkout this xtask was compiled in; the clock of [`announce`](Self::announce) starts.
    pub(crate) fn new(mut environment: Environment) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the xtask package lies one folder below the root")
            .to_owned();
        // `.cargo/config.toml` gives LIBTORCH this value to everything cargo runs, xtask included:
        // then it is ours and not the user's.
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

    /// A path in the folder where cargo builds: `release/parakeet-worker`.
    pub(crate) fn built(&self, relative: &str) -> PathBuf {
        let folder = self.environment.target_dir.as_deref();
        let folder = self.root.join(folder.unwrap_or(Path::new("target")));
        folder.join(relative)
    }

    /// Where the worker looks for the bundle of a model: its id with `/` written `--`, in
    /// `DALSTON_MODEL_DIR`, else in `models`.
    pub(crate) fn bundle(&self, model_id: &str) -> PathBuf {
        let folder = self.environment.model_dir.as_deref();
        let folder = self.root.join(folder.unwrap_or(Path::new("models")));
        folder.join(model_id.replace('/', "--"))
    }

    /// A command that runs in the root of the checkout, so that relative paths in its output and in
    /// its arguments mean the same everywhere.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo` with these arguments, separated by blanks, in the root.
    pub(crate) fn cargo(&self, arguments: &str) -> Command {
        let mut command = self.command("cargo");
        command.args(arguments.split_whitespace());
        command
    }

    /// Says what begins now, with the seconds since the command began.
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
            cxx: None,
            target_dir: None,
            cargo_home: None,
            model_dir: None,
            ci: false,
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
        let mut project = Project::new(Environment {
            libtorch: None,
            cxx: None,
            target_dir: None,
            cargo_home: None,
            model_dir: None,
            ci: false,
        });
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
