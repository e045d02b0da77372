//! The size of an image, by layer and by file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::container::STAGES;

/// Prints the size of each stage's files, of the base image, and of the whole image.
pub(super) fn print_layers(stages: &Path, root: &Path) -> Result<()> {
    let total = n_bytes(&files(root)?);
    let mut base = total;
    println!("{:>9}  part", "MB");
    for stage in STAGES {
        let part = n_bytes(&files(&stages.join(stage))?);
        base = base.saturating_sub(part);
        println!("{:>9}  {stage}", megabytes(part));
    }
    println!(
        "{:>9}  base\n{:>9}  the image\n",
        megabytes(base),
        megabytes(total)
    );
    Ok(())
}

/// Prints the five largest files.
pub(super) fn five_largest(root: &Path) -> Result<()> {
    let mut files = files(root)?;
    files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    println!("{:>9}  of the largest files", "MB");
    for (path, size) in files.iter().take(5) {
        let path = path.strip_prefix(root).unwrap_or(path);
        println!("{:>9}  {}", megabytes(*size), path.display());
    }
    println!();
    Ok(())
}

fn n_bytes(files: &[(PathBuf, u64)]) -> u64 {
    files.iter().map(|(_, size)| size).sum()
}

/// Every regular file below a folder, with its size. Links are not followed.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).with_context(|| cannot(&folder))? {
            let entry = entry.with_context(|| cannot(&folder))?;
            let about = entry.metadata().with_context(|| cannot(&folder))?;
            if about.is_dir() {
                waiting.push(entry.path());
            } else if about.is_file() {
                found.push((entry.path(), about.len()));
            }
        }
    }
    Ok(found)
}

fn megabytes(n_bytes: u64) -> String {
    format!("{:.1}", n_bytes as f64 / 1e6)
}

fn cannot(folder: &Path) -> String {
    format!("cannot read {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_once_and_links_not_followed() {
        let root = std::env::temp_dir().join(format!("xtask-sizes-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/one"), [0; 1000]).unwrap();
        fs::write(root.join("a/b/two"), [0; 500]).unwrap();
        std::os::unix::fs::symlink(root.join("a/one"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("a/loop")).unwrap();
        let found = files(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(n_bytes(&found), 1500);
        assert_eq!(megabytes(1_549_999), "1.5");
    }
}
