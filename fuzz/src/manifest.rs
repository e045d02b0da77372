//! Manifests of bundles: a folder that somebody copied.

use std::path::Path;

use parakeet_model::ModelManifest;

/// Reads a manifest: what is accepted can be reckoned with, what is not is told in a sentence.
///
/// # Panics
///
/// When it cannot.
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
