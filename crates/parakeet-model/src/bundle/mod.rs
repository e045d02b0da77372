//! A bundle on disk: its folder, its manifest, and the check of its files.

pub(crate) mod digest;
pub(crate) mod directory;
pub(crate) mod file_record;
pub(crate) mod manifest;
pub(crate) mod model_id;
