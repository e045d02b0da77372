//! The bill of materials, in CycloneDX 1.6: crates, libtorch, model bundles.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::crates::Krate;

/// libtorch in the image: the part of PyTorch that the worker loads.
const LIBTORCH: &str = "2.11.0";

/// The bill of materials. It has no time and no serial number, so the same sources give the same bytes.
pub(super) fn text(crates: &[Krate], bundles: &[PathBuf]) -> Result<String> {
    let models = bundles
        .iter()
        .map(|folder| model(folder))
        .collect::<Result<Vec<_>>>()?;
    let mut text = serde_json::to_string_pretty(&bill(crates, models))?;
    text.push('\n');
    Ok(text)
}

fn bill(crates: &[Krate], models: Vec<Value>) -> Value {
    let (worker, linked) = crates
        .split_first()
        .expect("the worker is the first of its crates");
    let mut components: Vec<_> = linked.iter().map(library).collect();
    components.push(json!({
        "type": "library",
        "bom-ref": "libtorch",
        "name": "libtorch",
        "version": LIBTORCH,
        "licenses": [{"license": {"id": "BSD-3-Clause"}}],
        "purl": format!("pkg:pypi/torch@{LIBTORCH}"),
    }));
    components.extend(models);
    let dependencies = crates.iter().map(|krate| {
        let mut used: Vec<_> = krate.dependencies.clone();
        // The linker adds libtorch, so cargo's metadata do not list it.
        if krate.name == "torch-sys" {
            used.push("libtorch".to_owned());
        }
        used.sort();
        used.dedup();
        json!({"ref": krate.id(), "dependsOn": used})
    });
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {
            "type": "application",
            "bom-ref": worker.id(),
            "name": worker.name,
            "version": worker.version,
            "licenses": [{"expression": worker.licence}],
        }},
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn library(krate: &Krate) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": krate.id(),
        "name": krate.name,
        "version": krate.version,
        // Old manifests write a slash instead of OR.
        "licenses": [{"expression": krate.licence.replace(" / ", "/").replace('/', " OR ")}],
    });
    if let Some(sha256) = &krate.sha256 {
        component["purl"] = json!(format!(
            "pkg:cargo/{}@{}",
            krate.name,
            krate.version.replace('+', "%2B")
        ));
        component["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    if let Some(repository) = &krate.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}

/// The entry of a bundle, from its manifest, which has the digest of each file.
fn model(folder: &Path) -> Result<Value> {
    let path = folder.join("manifest.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} is no bundle", folder.display()))?;
    let shape = || format!("{} is no manifest", path.display());
    let manifest: Value = serde_json::from_str(&text).with_context(shape)?;
    of_manifest(&manifest).with_context(shape)
}

fn of_manifest(manifest: &Value) -> Option<Value> {
    let id = manifest["model_id"].as_str()?;
    let (archives, files) = (
        manifest["archives"].as_object()?,
        manifest["files"].as_object()?,
    );
    let file = |record: &Value| {
        let name = record["file"].as_str()?;
        Some(json!({
            "type": "file",
            "bom-ref": format!("{id} {name}"),
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": record["sha256"].as_str()?}],
        }))
    };
    let files = archives.values().chain(files.values()).map(file);
    Some(json!({
        "type": "machine-learning-model",
        "bom-ref": id,
        "name": id,
        "version": manifest["source"]["sha256"].as_str().unwrap_or("unknown"),
        "components": files.collect::<Option<Vec<_>>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::crates::tests::crates;
    use super::*;

    fn tiny() -> Value {
        let manifest = json!({
            "model_id": "tiny", "source": {"sha256": "0a"},
            "archives": {"float32": {"file": "model.float32.pt", "sha256": "1b"}},
            "files": {"vocabulary": {"file": "vocabulary.json", "sha256": "2c"}},
        });
        of_manifest(&manifest).unwrap()
    }

    #[test]
    fn the_bill_has_what_cyclonedx_requires_of_every_bill() {
        let bill = bill(&crates(), vec![tiny()]);
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["specVersion"], "1.6");
        for component in bill["components"].as_array().unwrap() {
            for field in ["type", "name", "bom-ref"] {
                assert!(component[field].is_string(), "{field} in {component}");
            }
        }
    }

    #[test]
    fn a_reference_is_one_component_and_every_dependency_is_one() {
        let bill = bill(&crates(), vec![tiny()]);
        let references = bill["components"].as_array().unwrap().iter();
        let references = references.chain([&bill["metadata"]["component"]]);
        let references: Vec<_> = references
            .map(|it| it["bom-ref"].as_str().unwrap())
            .collect();
        let known: BTreeSet<_> = references.iter().copied().collect();
        assert_eq!(
            known.len(),
            references.len(),
            "two components have one name"
        );
        for dependency in bill["dependencies"].as_array().unwrap() {
            let used = dependency["dependsOn"].as_array().unwrap().iter();
            for name in used.chain([&dependency["ref"]]) {
                assert!(known.contains(name.as_str().unwrap()), "{name}");
            }
        }
    }

    #[test]
    fn a_model_is_told_by_the_digest_of_each_file() {
        let files = tiny()["components"].clone();
        assert_eq!(files.as_array().unwrap().len(), 2);
        assert_eq!(files[0]["hashes"][0]["content"], "1b");
        assert!(of_manifest(&json!({"model_id": "tiny"})).is_none());
    }

    #[test]
    fn an_old_licence_is_written_as_an_expression() {
        let mut crates = crates();
        crates[1].licence = "MIT/Apache-2.0".to_owned();
        assert_eq!(
            library(&crates[1])["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        crates[1].licence = "Apache-2.0 / MIT".to_owned();
        assert_eq!(
            library(&crates[1])["licenses"][0]["expression"],
            "Apache-2.0 OR MIT"
        );
    }
}
