//! Locks, so that two commands in one checkout never make the same thing at once.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::project::Project;

/// The folder of the lock files. It lies outside of what the locks guard, so deleting `.venv` deletes no lock.
const FOLDER: &str = ".locks";

/// The right to make or change one thing of the checkout. Dropping the lock gives the right back.
///
/// The operating system holds the lock for the open file, so the lock ends with the process, however the process
/// ends. A program that was started with [`stdin`](Self::stdin) holds the lock as well: if its xtask is killed,
/// the next command still waits until that program has stopped writing.
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Waits until no other process holds the lock of `what`, a path inside the checkout. If there is one to wait
    /// for, prints once which.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be written.
    pub(crate) fn acquire(project: &Project, what: &str) -> Result<Self> {
        let folder = project.path(FOLDER);
        let path = folder.join(what.replace('/', "--"));
        let file = fs::create_dir_all(&folder).and_then(|()| {
            let mut options = File::options();
            options.read(true).append(true).create(true).open(&path)
        });
        let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
        wait(&file, || {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder = match holder.trim() {
                // The holder has the lock, but has not written its name yet.
                "" => "another cargo xtask",
                holder => holder,
            };
            project.announce(&format!(
                "waiting: {holder}, or what it started, is at work on {what}"
            ));
        })
        .with_context(|| format!("cannot lock {}", path.display()))?;
        // A killed holder has left its name.
        file.set_len(0)
            .and_then(|()| file.write_all(this_process().as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file })
    }

    /// A standard input that keeps the lock until the program that has it ends. The program must not read it.
    ///
    /// # Errors
    ///
    /// When the process has too many open files.
    pub(crate) fn stdin(&self) -> Result<Stdio> {
        let file = self.file.try_clone().context("cannot share a lock")?;
        Ok(Stdio::from(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file ends the lock. Without a name in the file, a later waiter names no wrong holder.
        let _ = self.file.set_len(0);
    }
}

fn wait(file: &File, before_waiting: impl FnOnce()) -> io::Result<()> {
    let outcome = match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {
            before_waiting();
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    };
    // Some network file systems have no locks. One command at a time works there without.
    outcome.or_else(|error| match error.kind() {
        io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    })
}

/// For the message of another process: the command line and the process id.
fn this_process() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let id = std::process::id();
    format!("`cargo xtask {}` (process {id})", arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::project::Environment;

    /// A checkout in an empty folder, which is removed at the end of the test.
    struct Checkout(Project);

    impl Checkout {
        fn new(test: &str) -> Self {
            let root =
                std::env::temp_dir().join(format!("xtask-lock-{}-{test}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            let manifest_dir = Some(root.join("xtask"));
            Self(Project::new(Environment {
                manifest_dir,
                ..Environment::default()
            }))
        }

        fn is_locked(&self, what: &str) -> bool {
            let file = File::open(self.0.path(FOLDER).join(what)).unwrap();
            file.try_lock().is_err()
        }
    }

    impl Drop for Checkout {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.path(""));
        }
    }

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped() {
        let checkout = Checkout::new("excludes");
        let lock = Lock::acquire(&checkout.0, ".venv").unwrap();
        assert!(checkout.is_locked(".venv"));
        drop(lock);
        assert!(!checkout.is_locked(".venv"));
    }

    #[test]
    fn things_with_different_names_have_different_locks() {
        let checkout = Checkout::new("names");
        let _venv = Lock::acquire(&checkout.0, ".venv").unwrap();
        let _model = Lock::acquire(&checkout.0, "models/tiny").unwrap();
        assert!(checkout.is_locked("models--tiny"));
    }

    #[test]
    fn a_started_program_keeps_the_lock_after_its_starter_let_go() {
        let checkout = Checkout::new("orphan");
        let lock = Lock::acquire(&checkout.0, ".venv").unwrap();
        let mut sleep = Command::new("sleep");
        let mut orphan = sleep
            .arg("60")
            .stdin(lock.stdin().unwrap())
            .spawn()
            .unwrap();
        drop((lock, sleep));
        assert!(checkout.is_locked(".venv"));
        orphan.kill().unwrap();
        orphan.wait().unwrap();
        assert!(!checkout.is_locked(".venv"));
    }

    #[test]
    fn the_holder_is_named_while_it_holds_the_lock() {
        let checkout = Checkout::new("holder");
        let name = || fs::read_to_string(checkout.0.path(FOLDER).join(".venv")).unwrap();
        let lock = Lock::acquire(&checkout.0, ".venv").unwrap();
        let id = std::process::id();
        assert!(name().ends_with(&format!("(process {id})")), "{}", name());
        drop(lock);
        assert_eq!(name(), "");
    }

    #[test]
    fn a_waiter_gets_the_lock_when_the_holder_drops_it() {
        let checkout = Checkout::new("waiter");
        let lock = Lock::acquire(&checkout.0, ".venv").unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| Lock::acquire(&checkout.0, ".venv").map(drop));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiter.is_finished());
            drop(lock);
            waiter.join().unwrap().unwrap();
        });
    }
}
