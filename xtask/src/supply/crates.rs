//! The crates that are linked into the worker, from cargo's metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::capture;
use crate::project::Project;

const WORKER: &str = "parakeet-worker";

/// A crate that the worker links.
pub(crate) struct Krate {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// Its licence as an SPDX expression.
    pub(super) licence: String,
    /// The URL of its source.
    pub(super) repository: Option<String>,
    /// SHA-256 of the package in the registry; `None` for the crates of this repository.
    pub(super) sha256: Option<String>,
    /// The local folder of its source.
    pub(super) folder: PathBuf,
    /// Its dependencies, as `name version`.
    pub(super) dependencies: Vec<String>,
}

impl Krate {
    /// `name version`, which is unique.
    pub(super) fn id(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Whether it belongs to this repository.
    pub(super) fn is_ours(&self) -> bool {
        self.sha256.is_none()
    }
}

/// The worker's own crate, then every crate that the worker links, sorted by name. Crates for building, for
/// tests and for other systems are left out.
pub(super) fn of_worker(project: &Project) -> Result<Vec<Krate>> {
    let version = capture(project.command("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    let mut metadata = project.cargo("metadata --format-version 1 --locked");
    let metadata = capture(metadata.args(["--filter-platform", host]))?;
    let metadata = serde_json::from_str(&metadata).context("`cargo metadata` wrote no JSON")?;
    let lock = fs::read_to_string(project.path("Cargo.lock")).context("cannot read Cargo.lock")?;
    linked(&metadata, &lock).context("`cargo metadata` wrote JSON of an unknown shape")
}

fn linked(metadata: &Value, lock: &str) -> Option<Vec<Krate>> {
    let packages = metadata["packages"].as_array()?;
    let by_id: BTreeMap<_, _> = packages
        .iter()
        .map(|package| Some((package["id"].as_str()?, package)))
        .collect::<Option<_>>()?;
    let nodes = metadata["resolve"]["nodes"].as_array()?;
    let normal: BTreeMap<_, _> = nodes
        .iter()
        .map(|node| Some((node["id"].as_str()?, normal_dependencies(node)?)))
        .collect::<Option<_>>()?;
    let worker = packages.iter().find(|package| package["name"] == WORKER)?;

    let checksums = checksums(lock);
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![worker["id"].as_str()?];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let dependencies = normal.get(id)?;
        waiting.extend(dependencies);
        let package = by_id.get(id)?;
        let label = |package: &Value| {
            let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
            Some(format!("{name} {version}"))
        };
        let used = dependencies.iter().map(|id| label(by_id.get(id)?));
        let manifest = PathBuf::from(package["manifest_path"].as_str()?);
        found.push(Krate {
            name: package["name"].as_str()?.to_owned(),
            version: package["version"].as_str()?.to_owned(),
            licence: package["license"]
                .as_str()
                .unwrap_or("not stated")
                .to_owned(),
            repository: package["repository"].as_str().map(ToOwned::to_owned),
            sha256: checksums
                .get(label(package)?.as_str())
                .map(|it| (*it).to_owned()),
            folder: manifest.parent()?.to_owned(),
            dependencies: used.collect::<Option<_>>()?,
        });
    }
    found[1..].sort_by_key(Krate::id);
    Some(found)
}

fn normal_dependencies(node: &Value) -> Option<Vec<&str>> {
    let is_normal = |dependency: &&Value| {
        let kinds = dependency["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let dependencies = node["deps"].as_array()?.iter().filter(is_normal);
    dependencies.map(|it| it["pkg"].as_str()).collect()
}

/// The SHA-256 of each package from a registry in Cargo.lock, by `name version`.
fn checksums(lock: &str) -> BTreeMap<String, &str> {
    let entries = lock.split("[[package]]").skip(1);
    entries
        .filter_map(|text| {
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim_matches('"'))
            };
            let label = format!("{} {}", field("name = ")?, field("version = ")?);
            Some((label, field("checksum = ")?))
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A worker that links `linked`, which links `deep`. `tested` and `built` are not linked.
    pub(in super::super) fn crates() -> Vec<Krate> {
        let package = |name: &str| {
            json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT",
                   "repository": null, "manifest_path": format!("/src/{name}/Cargo.toml")})
        };
        let uses =
            |name: &str, kind: Option<&str>| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let names = ["deep", "linked", WORKER, "tested", "built"];
        let metadata = json!({
            "packages": names.map(package),
            "resolve": {"nodes": [
                {"id": WORKER, "deps": [uses("linked", None), uses("tested", Some("dev")), uses("built", Some("build"))]},
                {"id": "linked", "deps": [uses("deep", None)]},
                {"id": "deep", "deps": []}, {"id": "tested", "deps": []}, {"id": "built", "deps": []},
            ]},
        });
        let lock = "[[package]]\nname = \"deep\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n\n\
            [[package]]\nname = \"linked\"\nversion = \"1.0.0\"\nchecksum = \"def\"\n\n\
            [[package]]\nname = \"parakeet-worker\"\nversion = \"1.0.0\"\ndependencies = [\n \"linked\",\n]\n";
        linked(&metadata, lock).expect("of cargo's shape")
    }

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_or_tests_is_not() {
        let crates = crates();
        let ids: Vec<_> = crates.iter().map(Krate::id).collect();
        assert_eq!(ids, ["parakeet-worker 1.0.0", "deep 1.0.0", "linked 1.0.0"]);
        assert_eq!(crates[0].dependencies, ["linked 1.0.0"]);
    }

    #[test]
    fn what_has_no_checksum_is_ours() {
        let crates = crates();
        assert!(crates[0].is_ours());
        assert_eq!(crates[1].sha256.as_deref(), Some("abc"));
    }
}
