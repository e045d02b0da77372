//! `manifest.json`, the description of a bundle. It is read and checked before any weight is loaded.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path};

use rnnt_decode::{Head, Vocabulary};
use serde::Deserialize;

use crate::bundle::digest;
use crate::bundle::file_record::FileRecord;
use crate::compute_type::ComputeType;
use crate::error::Error;

/// The bundle format of this release; `xtask/python/exporter/manifest.py` writes it.
const FORMAT_VERSION: u64 = 2;

/// Samples per second of every utterance that a network encodes.
const SAMPLE_RATE_HZ: u32 = 16_000;

/// The description of a bundle. `docs/model-export.md` describes the file.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ModelManifest {
    /// The canonical id, `nvidia/parakeet-rnnt-0.6b`.
    pub model_id: String,
    /// The language that a transcript is labelled with: a code of two letters, or `und` if the network
    /// recognises several languages and does not say which one is spoken.
    pub language: String,
    /// Codes of the languages that the network recognises.
    pub languages: Vec<String>,
    /// The head, which decides how the search walks the emissions.
    #[serde(with = "HeadName")]
    pub head: Head,
    /// Samples from one feature frame to the next: 160, which is 10 ms.
    pub hop_samples: usize,
    /// Feature frames per encoder frame: 8.
    pub subsampling: usize,
    /// Samples of the longest utterance that the network encodes.
    pub max_samples: usize,
    /// Pieces of the vocabulary, without blank.
    pub vocabulary_size: usize,
    sample_rate_hz: u32,
    blank_id: usize,
    archives: BTreeMap<String, FileRecord>,
    files: Files,
}

#[derive(Debug, Clone, Deserialize)]
struct Files {
    vocabulary: FileRecord,
}

#[derive(Deserialize)]
#[serde(remote = "Head", rename_all = "lowercase")]
enum HeadName {
    Rnnt,
    Tdt,
    Ctc,
}

impl ModelManifest {
    /// The name of the manifest in a bundle's folder.
    pub const FILE: &'static str = "manifest.json";

    /// Reads and checks the manifest of the bundle in `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`] if `dir` is no bundle, [`Error::UnknownFormatVersion`] if another release wrote
    /// the bundle, [`Error::Malformed`] or [`Error::Inconsistent`] if the manifest is damaged, [`Error::Io`]
    /// if it cannot be read.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(Self::FILE);
        match fs::read_to_string(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Err(Error::MissingFile { path }),
            Err(source) => Err(Error::Io { path, source }),
            Ok(text) => Self::parse(&text, &path),
        }
    }

    /// Parses and checks the text of a manifest; errors name `path` as its file.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read) that do not come from reading the file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        /// Read first, because a manifest of another version may lack every other field.
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }

        let path = path.to_owned();
        let manifest = match serde_json::from_str(text) {
            Ok(Version {
                format_version: FORMAT_VERSION,
            }) => serde_json::from_str::<Self>(text),
            Ok(Version { format_version }) => {
                return Err(Error::UnknownFormatVersion {
                    path,
                    actual: format_version,
                    expected: FORMAT_VERSION,
                });
            }
            Err(why) => Err(why),
        };
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(why) => {
                return Err(Error::Malformed {
                    path,
                    source: why.into(),
                });
            }
        };
        match manifest.problem() {
            Some(problem) => Err(Error::Inconsistent { path, problem }),
            None => Ok(manifest),
        }
    }

    /// Samples from one encoder frame to the next: 1280, which is 80 ms.
    pub fn stride_samples(&self) -> usize {
        self.hop_samples * self.subsampling
    }

    /// The names of the compute types in the bundle, separated by commas.
    pub fn compute_types(&self) -> String {
        self.archives
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Settles [`ComputeType::Auto`] for a device, and returns the compute type with the record of its
    /// archive.
    ///
    /// # Errors
    ///
    /// [`Error::ComputeTypeUnsupported`] if the device cannot compute in the type, and
    /// [`Error::ComputeTypeNotInBundle`] if the bundle has no archive for it.
    pub(crate) fn choose(
        &self,
        asked: ComputeType,
        device: tch::Device,
        dir: &Path,
    ) -> Result<(ComputeType, &FileRecord), Error> {
        if let Some(obstacle) = asked.obstacle(device) {
            return Err(Error::ComputeTypeUnsupported { asked, obstacle });
        }
        let candidates = match asked {
            ComputeType::Auto => ComputeType::preferences(device),
            _ => vec![asked],
        };
        let in_bundle = |&candidate: &ComputeType| {
            self.archives
                .get(candidate.name())
                .map(|record| (candidate, record))
        };
        candidates
            .iter()
            .find_map(in_bundle)
            .ok_or_else(|| Error::ComputeTypeNotInBundle {
                asked: candidates[candidates.len() - 1],
                available: self.compute_types(),
                model_id: self.model_id.clone(),
                dir: dir.to_owned(),
            })
    }

    /// Reads the vocabulary of the bundle in `dir`.
    pub(crate) fn read_vocabulary(&self, dir: &Path) -> Result<Vocabulary, Error> {
        let path = digest::verify(dir, &self.files.vocabulary)?;
        let text = match fs::read_to_string(&path) {
            Err(source) => return Err(Error::Io { path, source }),
            Ok(text) => text,
        };
        let pieces: Vec<String> = match serde_json::from_str(&text) {
            Err(why) => {
                return Err(Error::Malformed {
                    path,
                    source: why.into(),
                });
            }
            Ok(pieces) => pieces,
        };
        if pieces.len() != self.vocabulary_size {
            return Err(Error::Inconsistent {
                path: dir.join(Self::FILE),
                problem: format!(
                    "vocabulary_size is {}, but the vocabulary has {} pieces",
                    self.vocabulary_size,
                    pieces.len()
                ),
            });
        }
        Vocabulary::new(pieces).map_err(|why| Error::Malformed {
            path,
            source: why.into(),
        })
    }

    /// [`stride_samples`](Self::stride_samples) of a manifest that is not checked yet, whose product may
    /// overflow.
    fn checked_stride(&self) -> Option<usize> {
        self.hop_samples.checked_mul(self.subsampling)
    }

    /// A contradiction in a manifest that could be parsed.
    fn problem(&self) -> Option<String> {
        let records = self.archives.values().chain([&self.files.vocabulary]);
        let outside = records
            .map(|record| &record.file)
            .find(|file| !is_file_name(file));
        if let Some(file) = outside {
            Some(format!(
                "`{file}` is not the name of a file in the bundle's folder"
            ))
        } else if self.archives.is_empty() {
            Some("it lists no archive".to_owned())
        } else if self.archives.contains_key("") {
            Some("an archive has no compute type".to_owned())
        } else if self.blank_id != self.vocabulary_size {
            Some(format!(
                "blank_id is {}, expected vocabulary_size, {}",
                self.blank_id, self.vocabulary_size
            ))
        } else if self.sample_rate_hz != SAMPLE_RATE_HZ {
            Some(format!(
                "sample_rate_hz is {}, expected {SAMPLE_RATE_HZ}",
                self.sample_rate_hz
            ))
        } else if !(1..=self.max_samples).contains(&self.checked_stride().unwrap_or(0)) {
            Some(format!(
                "max_samples {}, hop_samples {} and subsampling {} leave no encoder frame",
                self.max_samples, self.hop_samples, self.subsampling
            ))
        } else {
            None
        }
    }
}

/// Whether a name is that of a file in the bundle's folder. A manifest must not point to files outside it.
fn is_file_name(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    )
}
