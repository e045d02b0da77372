//! What a manifest records of a file of the bundle.

use serde::Deserialize;

/// A file of the bundle as it was exported.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FileRecord {
    /// The file's name in the bundle's folder.
    pub(crate) file: String,
    /// The file's size.
    pub(crate) bytes: u64,
    /// The file's digest in lower-case hexadecimal.
    pub(crate) sha256: String,
}
