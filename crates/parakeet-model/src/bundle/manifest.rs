//! `manifest.json`: what a bundle holds, read and checked before any weight is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path};

use rnnt_decode::{Head, Vocabulary};
use serde::Deserialize;

use crate::bundle::digest;
use crate::{ComputeType, Error};

/// The only bundle format there is; `xtask/python/exporter/manifest.py` writes it.
const FORMAT_VERSION: u64 = 2;

/// Samples per second of every utterance given to a network.
const SAMPLE_RATE_HZ: u32 = 16_000;

/// What a bundle says of itself. `docs/model-export.md` describes the file.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ModelManifest {
    /// The canonical id, `nvidia/parakeet-rnnt-0.6b`.
    pub model_id: String,
    /// What a transcript is labelled with: a code of two letters, or `und` where the network hears
    /// several languages and does not say which.
    pub language: String,
    /// Codes of the languages that the network hears.
    pub languages: Vec<String>,
    /// The rule by which emissions are walked.
    #[serde(with = "HeadName")]
    pub head: Head,
    /// Samples from one feature frame to the next: 160, 10 ms.
    pub hop_samples: usize,
    /// Feature frames to one encoder frame: 8.
    pub subsampling: usize,
    /// Length of the longest utterance that the network takes, in samples.
    pub max_samples: usize,
    /// Pieces without blank.
    pub vocabulary_size: usize,
    sample_rate_hz: u32,
    blank_id: usize,
    archives: BTreeMap<String, FileRecord>,
    files: Files,
}

/// A file of the bundle as it was exported.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FileRecord {
    /// Name in the bundle's folder.
    pub(crate) file: String,
    /// Size.
    pub(crate) bytes: u64,
    /// Digest in lower-case hexadecimal.
    pub(crate) sha256: String,
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
    /// Name of the file in a bundle's folder.
    pub const FILE: &'static str = "manifest.json";

    /// Reads and checks the manifest of the bundle in `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`] if `dir` is no bundle, [`Error::UnknownFormatVersion`] if it is one of
    /// another release, [`Error::Malformed`] or [`Error::Inconsistent`] if the file is damaged.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(Self::FILE);
        match fs::read_to_string(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Err(Error::MissingFile { path }),
            Err(source) => Err(Error::Io { path, source }),
            Ok(text) => Self::parse(&text, &path),
        }
    }

    /// The same for the text of a manifest; errors name `path` as its file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        /// Read first, since another version may have none of the other fields.
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

    /// Samples from one encoder frame to the next: 1280, 80 ms.
    pub fn stride_samples(&self) -> usize {
        self.hop_samples * self.subsampling
    }

    /// Names of the compute types in the bundle, with commas between.
    pub fn compute_types(&self) -> String {
        self.archives
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Settles [`ComputeType::Auto`] for a device; the archive's record.
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

    /// [`stride_samples`](Self::stride_samples) of a manifest that is not checked yet.
    fn checked_stride(&self) -> Option<usize> {
        self.hop_samples.checked_mul(self.subsampling)
    }

    /// What contradicts itself in a manifest that could be parsed.
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

/// A manifest must not lead out of its folder.
fn is_file_name(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    )
}
