//! A bundle on disk: where it lies, what its manifest says, whether its files are those that were exported.

pub(crate) mod digest;
pub(crate) mod directory;
pub(crate) mod manifest;
pub(crate) mod model_id;
