//! Manifests of bundles: a bundle is a folder that may come from anywhere.

use std::path::Path;

use parakeet_model::ModelManifest;

/// Reads a manifest. An accepted manifest has usable numbers; a refused one gives a sentence.
///
/// # Panics
///
/// One of these promises is broken.
pub fn manifest(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match ModelManifest::parse(text, Path::new("bundle/manifest.json")) {
        Ok(manifest) => {
            assert!(manifest.stride_samples() > 0);
            assert!(manifest.max_samples >= manifest.stride_samples());
            assert!(!manifest.compute_types().is_empty());
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}
