//! The one kind of URI that a worker opens: an object in its own bucket.

use std::fmt;

use object_store::path::Path;

/// A checked URI of the form `s3://bucket/key`.
///
/// A task names the objects that it needs, and tasks are not trusted. Another bucket, another scheme and a
/// key with `..` are refused here, before a request goes to the store.
///
/// ```
/// use dalston_engine_sdk::uri::ObjectUri;
///
/// let uri = ObjectUri::parse("s3://artifacts/jobs/1/audio/prepared.wav", "artifacts")?;
/// assert_eq!(uri.key().as_ref(), "jobs/1/audio/prepared.wav");
///
/// let err = ObjectUri::parse("file:///etc/passwd", "artifacts").unwrap_err();
/// assert_eq!(err.to_string(), r#"URI "file:///etc/passwd" is not of the form s3://bucket/key"#);
/// # Ok::<(), dalston_engine_sdk::uri::UriError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUri {
    bucket: String,
    key: Path,
}

/// Longest URI that is read, in bytes. S3's own limits are 1024 bytes for a key and 63 for a bucket.
const MAX_BYTES: usize = 2048;

/// Why a URI is refused. Another try cannot help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The URI does not have the form `s3://bucket/key`.
    #[error("URI {uri} is not of the form s3://bucket/key")]
    Form {
        /// The URI, shortened and without credentials.
        uri: String,
    },

    /// The bucket is another than the worker's own.
    #[error("URI {uri} is not in the bucket {expected}")]
    Bucket {
        /// The URI, shortened and without credentials.
        uri: String,
        /// The worker's bucket.
        expected: String,
    },

    /// Stores read the key differently: it is empty, has control characters, or has an empty, `.` or `..`
    /// segment.
    #[error("URI {uri} has no usable key")]
    Key {
        /// The URI, shortened and without credentials.
        uri: String,
    },
}

impl ObjectUri {
    /// Reads a URI that must lie in `bucket`.
    ///
    /// # Errors
    ///
    /// [`UriError`]; it quotes the URI without its credentials.
    pub fn parse(uri: &str, bucket: &str) -> Result<Self, UriError> {
        let form = || UriError::Form { uri: shown(uri) };
        if uri.len() > MAX_BYTES {
            return Err(form());
        }
        let rest = uri.strip_prefix("s3://").ok_or_else(form)?;
        let (found, key) = rest.split_once('/').ok_or_else(form)?;
        if found != bucket {
            return Err(UriError::Bucket {
                uri: shown(uri),
                expected: bucket.to_owned(),
            });
        }
        // `Path::parse` removes a slash at either end, which would leave the key of another object; so the
        // parsed key must equal the written one. It refuses only ASCII's control characters.
        let is_plain = !key.is_empty() && !key.contains(char::is_control);
        let as_written = |path: &Path| is_plain && path.as_ref() == key;
        let key = Path::parse(key).ok().filter(as_written);
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.ok_or_else(|| UriError::Key { uri: shown(uri) })?,
        })
    }

    /// The object's key in the bucket.
    pub fn key(&self) -> &Path {
        &self.key
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The URI as an error may quote it: escaped, at most 200 characters, and without the parts before an `@`
/// and after a `?`, which may hold credentials and signatures.
fn shown(uri: &str) -> String {
    let plain = uri.split('?').next().unwrap_or_default();
    let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    let short: String = format!("{scheme}{separator}{rest}")
        .chars()
        .take(200)
        .collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(uri: &str, message: &str) {
        let err = ObjectUri::parse(uri, "artifacts").expect_err("refused");
        assert_eq!(err.to_string(), message);
    }

    #[test]
    fn a_uri_in_the_bucket_is_read_and_printed_as_it_was() {
        let written = "s3://artifacts/jobs/7b/audio/original file+ü.wav";
        let uri = ObjectUri::parse(written, "artifacts").expect("a plain URI");
        assert_eq!(uri.key().as_ref(), "jobs/7b/audio/original file+ü.wav");
        assert_eq!(uri.to_string(), written);
    }

    #[test]
    fn another_scheme_is_refused() {
        for uri in ["", "/etc/passwd", "S3://artifacts/a", "s3:/artifacts/a"] {
            let message = format!("URI {uri:?} is not of the form s3://bucket/key");
            refused(uri, &message);
        }
    }

    #[test]
    fn another_bucket_is_refused_even_if_its_name_begins_alike() {
        for uri in ["s3://artifacts-2/a", "s3:///a", "s3://Artifacts/a"] {
            let message = format!("URI {uri:?} is not in the bucket artifacts");
            refused(uri, &message);
        }
    }

    #[test]
    fn a_key_that_climbs_or_is_ambiguous_is_refused() {
        for key in [
            "", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a/..", "a\0b", "a\nb", "a\u{9d}b",
        ] {
            let uri = format!("s3://artifacts/{key}");
            refused(&uri, &format!("URI {uri:?} has no usable key"));
        }
    }

    #[test]
    fn credentials_and_signatures_are_not_quoted() {
        let uri = "https://user:secret@host/key?X-Amz-Signature=secret";
        let err = ObjectUri::parse(uri, "artifacts").expect_err("another scheme");
        assert!(!err.to_string().contains("secret"), "{err}");
        let long = format!("s3://other/{}", "k".repeat(5000));
        let err = ObjectUri::parse(&long, "artifacts").expect_err("too long");
        assert!(err.to_string().len() < 300, "{err}");
    }
}
