//! Checks the files of a bundle against its manifest: each file exists and has the right size and digest.
//!
//! The digest of a file of gigabytes takes seconds. It is computed once per file, size and time stamp: the
//! file [`NOTES`] in the bundle's folder lists the files that were found right. If the folder cannot be
//! written, every load computes the digests again.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::bundle::file_record::FileRecord;
use crate::error::Error;

/// One line for each file that was found right: `SHA-256 size time-stamp name`.
const NOTES: &str = ".verified";

/// Checks a file of the bundle in `dir` against its record, and returns the file's path.
pub(crate) fn verify(dir: &Path, record: &FileRecord) -> Result<PathBuf, Error> {
    let path = dir.join(&record.file);
    let metadata = match fs::metadata(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return Err(Error::MissingFile { path });
        }
        Err(source) => return Err(Error::Io { path, source }),
        Ok(metadata) => metadata,
    };
    if metadata.len() != record.bytes {
        return Err(Error::WrongSize {
            path,
            actual: metadata.len(),
            expected: record.bytes,
        });
    }
    let line = note(record, &metadata);
    let notes = fs::read_to_string(dir.join(NOTES)).unwrap_or_default();
    if line.is_some() && notes.lines().any(|noted| Some(noted) == line.as_deref()) {
        return Ok(path);
    }
    let actual = match digest(&path) {
        Err(source) => return Err(Error::Io { path, source }),
        Ok(actual) => actual,
    };
    if actual != record.sha256 {
        return Err(Error::WrongDigest {
            path,
            actual,
            expected: record.sha256.clone(),
        });
    }
    if let Some(line) = line {
        add_note(dir, &notes, &line, &record.file);
    }
    Ok(path)
}

/// The line for a file that was found right; `None` if the file system keeps no time stamps.
fn note(record: &FileRecord, metadata: &Metadata) -> Option<String> {
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let FileRecord {
        file,
        bytes,
        sha256,
    } = record;
    Some(format!("{sha256} {bytes} {} {file}", modified.as_nanos()))
}

/// Replaces the line of a file. The notes only save time, so it is no error if the folder cannot be written.
fn add_note(dir: &Path, notes: &str, line: &str, file: &str) {
    let others = notes
        .lines()
        .filter(|noted| !noted.ends_with(&format!(" {file}")));
    let lines: String = others.chain([line]).flat_map(|line| [line, "\n"]).collect();
    // Written to another file and renamed: another process sees the old notes or the new ones, never a part.
    // The name holds the process's id, so that two processes that load at once do not write to the same file.
    let aside = dir.join(format!("{NOTES}.{}", std::process::id()));
    if fs::write(&aside, lines)
        .and_then(|()| fs::rename(&aside, dir.join(NOTES)))
        .is_err()
    {
        let _ = fs::remove_file(&aside);
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => {
                return Ok(hasher
                    .finalize()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect());
            }
            n_bytes => hasher.update(&buffer[..n_bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// SHA-256 of "abc": FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn bundle_of(content: &str) -> (tempfile::TempDir, FileRecord) {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(dir.path().join("weights"), content).expect("it can be written");
        let record = FileRecord {
            file: "weights".to_owned(),
            bytes: 3,
            sha256: ABC.to_owned(),
        };
        (dir, record)
    }

    #[test]
    fn a_right_file_is_accepted() {
        let (dir, record) = bundle_of("abc");
        assert_eq!(
            verify(dir.path(), &record).expect("right"),
            dir.path().join("weights")
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let (dir, mut record) = bundle_of("abc");
        record.file = "model.float32.pt".to_owned();
        let why = verify(dir.path(), &record).expect_err("missing");
        assert!(matches!(why, Error::MissingFile { .. }));
        assert!(
            why.to_string().contains("model.float32.pt is missing"),
            "{why}"
        );
    }

    #[test]
    fn a_cut_file_is_told_from_a_damaged_one() {
        let (dir, record) = bundle_of("ab");
        let why = verify(dir.path(), &record).expect_err("cut");
        assert!(
            matches!(
                why,
                Error::WrongSize {
                    actual: 2,
                    expected: 3,
                    ..
                }
            ),
            "{why}"
        );
        let (dir, record) = bundle_of("abd");
        let why = verify(dir.path(), &record).expect_err("damaged");
        assert!(matches!(why, Error::WrongDigest { .. }), "{why}");
    }

    #[test]
    fn a_digest_is_computed_once_per_time_stamp() {
        let (dir, record) = bundle_of("abc");
        let path = verify(dir.path(), &record).expect("right");
        let set = |content: &str, time: SystemTime| {
            fs::write(&path, content).expect("it can be written");
            let file = File::options()
                .write(true)
                .open(&path)
                .expect("it is there");
            file.set_modified(time).expect("time stamps can be set");
        };
        let time = fs::metadata(&path)
            .and_then(|m| m.modified())
            .expect("it has a time stamp");
        set("abd", time);
        verify(dir.path(), &record).expect("the same size and time stamp are not read again");
        set("abd", time + Duration::from_secs(1));
        verify(dir.path(), &record).expect_err("a new time stamp is");
    }

    #[test]
    fn a_new_manifest_is_not_believed_because_of_an_old_note() {
        let (dir, mut record) = bundle_of("abc");
        verify(dir.path(), &record).expect("right");
        record.sha256 = ABC.replace('b', "c");
        verify(dir.path(), &record).expect_err("the note is about another digest");
    }

    #[test]
    fn a_folder_that_cannot_be_noted_in_is_no_error() {
        let (dir, record) = bundle_of("abc");
        // A folder in the place of the notes can be neither read nor replaced, not even by root.
        fs::create_dir(dir.path().join(NOTES)).expect("it can be made");
        for _ in 0..2 {
            verify(dir.path(), &record).expect("right");
        }
        let n_files = fs::read_dir(dir.path()).expect("it can be listed").count();
        assert_eq!(n_files, 2, "nothing is left behind");
    }
}
