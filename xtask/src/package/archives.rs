//! Model bundles as tar files with their digests, for machines that do not export models.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{capture, run as run_command};

/// Writes `NAME.tar` and `NAME.tar.sha256` for each bundle.
///
/// The tar file has one folder, named as the worker expects, with the files that the manifest lists. `tar -xf`
/// in a model folder installs the bundle. The same bundle gives the same bytes.
pub(super) fn write(bundles: &[PathBuf], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for bundle in bundles {
        let name = bundle
            .file_name()
            .context("a bundle is a folder with a name")?;
        let archive = format!("{}.tar", name.display());
        let above = bundle.parent().context("a bundle lies in a folder")?;
        let mut tar = Command::new("tar");
        tar.args([
            "--create",
            "--sort=name",
            "--mtime=@0",
            "--mode=go=rX,u=rwX",
        ]);
        tar.args(["--owner=0", "--group=0", "--numeric-owner", "--file"]);
        tar.arg(folder.join(&archive)).arg("--directory").arg(above);
        tar.args(files(bundle)?.iter().map(|file| Path::new(name).join(file)));
        run_command(&mut tar)?;
        let mut digest = Command::new("sha256sum");
        let digest = capture(digest.current_dir(folder).arg(&archive))?;
        let path = folder.join(format!("{archive}.sha256"));
        fs::write(&path, &digest).with_context(|| format!("cannot write {}", path.display()))?;
        print!("{digest}");
    }
    Ok(())
}

/// The manifest, the files that the manifest lists, and the file of credits if there is one.
fn files(bundle: &Path) -> Result<Vec<String>> {
    let path = bundle.join("manifest.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} is no bundle", bundle.display()))?;
    let manifest: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is no manifest", path.display()))?;
    let listed = ["archives", "files"]
        .into_iter()
        .filter_map(|table| manifest[table].as_object());
    let listed = listed.flat_map(|table| table.values());
    let mut files = vec!["manifest.json".to_owned()];
    files.extend(listed.filter_map(|record| Some(record["file"].as_str()?.to_owned())));
    if bundle.join("NOTICE").exists() {
        files.push("NOTICE".to_owned());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_the_bundle_and_nothing_else_and_is_the_same_again() {
        let root = std::env::temp_dir().join(format!("xtask-archives-{}", std::process::id()));
        let bundle = root.join("owner--model");
        fs::create_dir_all(&bundle).unwrap();
        let manifest = r#"{"archives": {"float32": {"file": "model.float32.pt"}},
            "files": {"vocabulary": {"file": "vocabulary.json"}}}"#;
        fs::write(bundle.join("manifest.json"), manifest).unwrap();
        for name in [
            "model.float32.pt",
            "vocabulary.json",
            "NOTICE",
            "model.nemo",
            ".verified",
        ] {
            fs::write(bundle.join(name), name).unwrap();
        }
        write(std::slice::from_ref(&bundle), &root.join("one")).unwrap();
        fs::write(bundle.join("vocabulary.json"), "vocabulary.json").unwrap();
        write(std::slice::from_ref(&bundle), &root.join("two")).unwrap();
        let archive = root.join("one/owner--model.tar");
        let listed = capture(Command::new("tar").arg("-tf").arg(&archive)).unwrap();
        let digest = |run: &str| fs::read(root.join(run).join("owner--model.tar.sha256")).unwrap();
        let (first, second) = (digest("one"), digest("two"));
        fs::remove_dir_all(&root).unwrap();
        let expected = [
            "NOTICE",
            "manifest.json",
            "model.float32.pt",
            "vocabulary.json",
        ];
        let expected = expected
            .map(|name| format!("owner--model/{name}\n"))
            .concat();
        assert_eq!(listed, expected);
        assert_eq!(first, second);
    }
}
