//! Checks that a machine has the programs and the disk space that set-up needs, and says how to get them.

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

/// Minor versions of Python 3 that PyTorch 2.11.0 has wheels for.
const PYTHON_MINORS: RangeInclusive<u32> = 10..=14;

/// Finds a Python that can make a virtual environment for PyTorch.
///
/// `python3` is tried first. Then come the versioned names, because some systems need an old `python3` for
/// themselves and install newer releases under versioned names.
///
/// # Errors
///
/// When there is none; the message says what `python3` lacks and how to install a usable one.
pub(crate) fn python() -> Result<String> {
    let versioned = PYTHON_MINORS.rev().map(|minor| format!("python3.{minor}"));
    let usable = std::iter::once("python3".to_owned())
        .chain(versioned)
        .find(|name| matches!(probe(name), Python::Usable));
    if let Some(name) = usable {
        return Ok(name);
    }
    let (oldest, newest) = (PYTHON_MINORS.start(), PYTHON_MINORS.end());
    match probe("python3") {
        Python::Absent | Python::Usable => bail!(
            "python3 is missing: install it with `apt install python3 python3-venv` (Debian, \
             Ubuntu), `dnf install python3` (Fedora) or `brew install python` (macOS)"
        ),
        Python::Unfit(minor) => bail!(
            "python3 is 3.{minor}, but PyTorch 2.11 needs 3.{oldest} to 3.{newest}: install one \
             beside it, for example `apt install python3.11 python3.11-venv` (Debian, Ubuntu), \
             `dnf install python3.12` (Fedora) or `brew install python@3.12` (macOS)"
        ),
        Python::WithoutVenv(minor) => bail!(
            "python3 has no venv and ensurepip modules: install them with `apt install \
             python3.{minor}-venv` (Debian, Ubuntu); Fedora's and Homebrew's python3 bring them"
        ),
    }
}

/// Checks that the C++ compiler which tch's build script will call can compile C++17.
///
/// `cxx` is the user's `CXX`, perhaps with flags. That build script reads the same variable.
///
/// # Errors
///
/// When there is no such compiler, or the headers of its standard library are missing.
pub(crate) fn cxx_compiler(cxx: Option<&str>) -> Result<()> {
    let cxx = cxx.filter(|cxx| !cxx.trim().is_empty()).unwrap_or("c++");
    let mut words = cxx.split_whitespace();
    let program = words.next().unwrap_or("c++");
    let compiles = Command::new(program)
        .args(words)
        .args([
            "-std=c++17",
            "-fsyntax-only",
            "-x",
            "c++",
            "-include",
            "string",
            "/dev/null",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    ensure!(
        compiles,
        "the C++ compiler `{cxx}` is missing or cannot compile C++17: install one with `apt install \
         g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora) or `xcode-select --install` (macOS), \
         or name yours in CXX"
    );
    Ok(())
}

/// Checks that the file system of `folder` has `needed_gb` gigabytes (10^9 bytes) free.
///
/// If `df` prints an unknown format, the check passes: without the check, pip would report the full disk.
///
/// # Errors
///
/// When less space is free.
pub(crate) fn disk_space(folder: &Path, needed_gb: u64) -> Result<()> {
    let Ok(output) = Command::new("df").arg("-Pk").arg(folder).output() else {
        return Ok(());
    };
    if let Some(free_gb) = free_gb(&String::from_utf8_lossy(&output.stdout)) {
        ensure!(
            free_gb >= needed_gb,
            "{} has {free_gb} GB free, but {needed_gb} GB are needed: make room, or clone the \
             repository on a larger disk",
            folder.display()
        );
    }
    Ok(())
}

/// What was found under one name on the PATH. The number is Python's minor version.
enum Python {
    Usable,
    Absent,
    Unfit(u32),
    WithoutVenv(u32),
}

fn probe(name: &str) -> Python {
    let script = "import sys; print('%d.%d' % sys.version_info[:2]); import venv, ensurepip";
    let Ok(output) = Command::new(name).args(["-c", script]).output() else {
        return Python::Absent;
    };
    let version = String::from_utf8_lossy(&output.stdout);
    let Some((major, minor)) = version.trim().split_once('.') else {
        return Python::Absent;
    };
    match (major, minor.parse()) {
        ("3", Ok(minor)) if !PYTHON_MINORS.contains(&minor) => Python::Unfit(minor),
        ("3", Ok(minor)) if !output.status.success() => Python::WithoutVenv(minor),
        ("3", Ok(_)) => Python::Usable,
        _ => Python::Absent,
    }
}

/// The free space that `df -Pk` (POSIX format, 1024-byte blocks) prints for one folder.
fn free_gb(df: &str) -> Option<u64> {
    let mut columns = df.lines().nth(1)?.split_whitespace();
    // The name of the file system may contain blanks, so the free space is found as the field before the
    // percentage.
    let mut previous = None;
    let percent = columns.find(|column| {
        let found = column.ends_with('%');
        if !found {
            previous = Some(*column);
        }
        found
    });
    percent?;
    let blocks: u64 = previous?.parse().ok()?;
    Some(blocks * 1024 / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_the_posix_format() {
        let df = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                  /dev/vda         263174212 18874368  77594624      20% /\n";
        assert_eq!(free_gb(df), Some(79));
    }

    #[test]
    fn a_file_system_with_spaces_in_its_name_is_read_too() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  map auto home 9765625 0 9765625 0% /System/Volumes/Data/home\n";
        assert_eq!(free_gb(df), Some(10));
    }

    #[test]
    fn an_unknown_format_says_nothing() {
        assert_eq!(free_gb("df: no such folder\n"), None);
        assert_eq!(free_gb("a\nb c d\n"), None);
    }

    #[test]
    fn an_absent_compiler_is_named_with_the_ways_to_get_one() {
        let error = cxx_compiler(Some("no-such-compiler -O2"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the C++ compiler `no-such-compiler -O2` is missing"),
            "{error}"
        );
        for way in ["apt install", "dnf install", "xcode-select", "CXX"] {
            assert!(error.contains(way), "{way} is not in: {error}");
        }
    }

    #[test]
    fn more_space_than_any_disk_has_is_refused() {
        assert!(disk_space(Path::new("/"), u64::MAX).is_err());
        assert!(disk_space(Path::new("/"), 0).is_ok());
    }
}
