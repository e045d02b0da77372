//! A task's objects: small documents in memory, audio in a file, and no call without an end.

use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::io::AsyncWriteExt;

use crate::config::StoreConfig;
use crate::error::TaskError;
use crate::uri::ObjectUri;

/// The objects of one bucket.
///
/// Every call ends: a server that accepts and then says nothing is given up after
/// 30 s of silence. What is missing, too large or named wrongly is the task's fault
/// ([`ErrorKind::Input`](crate::ErrorKind::Input)). An object that the store refuses, while it answers
/// [`ping`](Self::ping), fails its task too ([`ErrorKind::Engine`](crate::ErrorKind::Engine)): asking
/// for it again and again would hold up the queue. Everything else, wrong credentials included, is
/// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), because the next worker or the next
/// minute may do better.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    silence: Duration,
}

/// How long a connection to a store may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a store may say nothing: until it answers, and between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// Largest file that is downloaded: what [`audio`](crate::audio) reads, too.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Largest document that is read. Earlier stages' outputs are a part of a request: two hours of words
/// with characters and phonemes are some 20 MB.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// With what object_store begins what a server said.
const ANSWERED: &str = "Server returned";

/// Characters of a server's answer that are kept.
const MAX_ANSWER: usize = 300;

impl Artifacts {
    /// The objects of `bucket`, which is what `store` holds.
    pub fn new(store: Arc<dyn ObjectStore>, bucket: impl Into<String>) -> Self {
        Self {
            store,
            bucket: bucket.into(),
            silence: SILENCE,
        }
    }

    /// The same for a store that may be silent for another time than 30 s.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// The bucket of an S3 server. Credentials come by the usual chain of AWS: environment, web
    /// identity, container, instance. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// The settings do not fit together, an endpoint that is no URL for example.
    pub fn connect(config: &StoreConfig) -> Result<Self, object_store::Error> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&config.bucket)
            .with_client_options(
                ClientOptions::new()
                    .with_connect_timeout(CONNECT)
                    .with_read_timeout(SILENCE)
                    // Two hours of audio may take longer than any limit for the whole of a request.
                    .with_timeout_disabled()
                    .with_allow_http(true),
            )
            // Short: the runner backs off by itself, and says so in its log and on its health page.
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 2,
                retry_timeout: Duration::from_secs(10),
            });
        if let Some(region) = &config.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &config.endpoint {
            builder = builder
                // Of all endpoints that the environment may name, this one is taken first.
                .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint)
                .with_virtual_hosted_style_request(false);
        }
        let store = builder.build()?;
        Ok(Self::new(Arc::new(store), &config.bucket))
    }

    /// Reads a document; `None` if there is no such object.
    ///
    /// # Errors
    ///
    /// `Input` if it is larger than 64 MiB, `Engine` if the store refuses it alone, `Unavailable` if
    /// the store does not give it.
    pub async fn read(&self, key: &Path) -> Result<Option<Bytes>, TaskError> {
        let object = match self.heard(self.store.get(key)).await? {
            Ok(object) => object,
            Err(err) if is_missing(&err) => return Ok(None),
            Err(err) => return Err(self.fault(key, err).await),
        };
        let size = object.meta.size;
        if size > MAX_DOCUMENT_BYTES {
            return Err(too_large(key, size, MAX_DOCUMENT_BYTES));
        }
        let mut document = BytesMut::with_capacity(size as usize);
        let mut pieces = object.into_stream();
        while let Some(piece) = self.heard(pieces.next()).await? {
            document.extend_from_slice(&piece.map_err(away)?);
        }
        Ok(Some(document.freeze()))
    }

    /// Whether there is such an object.
    ///
    /// # Errors
    ///
    /// `Engine` if the store refuses to say it of this object alone, `Unavailable` if it says nothing.
    pub async fn exists(&self, key: &Path) -> Result<bool, TaskError> {
        match self.heard(self.store.head(key)).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(err) => Err(self.fault(key, err).await),
        }
    }

    /// Stores a JSON document, whole or not at all, in place of what was there.
    ///
    /// # Errors
    ///
    /// `Engine` if the store refuses it alone, `Unavailable` if the store does not confirm it.
    pub async fn write(&self, key: &Path, document: Vec<u8>) -> Result<(), TaskError> {
        let content_type = (Attribute::ContentType, "application/json");
        let options = PutOptions {
            attributes: Attributes::from_iter([content_type]),
            ..PutOptions::default()
        };
        let put = self
            .store
            .put_opts(key, PutPayload::from(document), options);
        match self.heard(put).await? {
            Ok(_) => Ok(()),
            Err(err) => Err(self.fault(key, err).await),
        }
    }

    /// Copies an object into a new file, piece by piece; returns its size. What is left of a file
    /// after an error is the caller's to remove, with the folder it is in.
    ///
    /// # Errors
    ///
    /// `Input` if the URI is not one of the bucket, names nothing or something above 4 GiB;
    /// `Engine` if the store refuses it alone; `Unavailable` if the store stops giving, or the disk
    /// taking.
    pub async fn download(&self, uri: &str, file: &FilePath) -> Result<u64, TaskError> {
        let uri =
            ObjectUri::parse(uri, &self.bucket).map_err(|err| TaskError::input(err.to_string()))?;
        let object = match self.heard(self.store.get(uri.key())).await? {
            Ok(object) => object,
            Err(err) if is_missing(&err) => {
                return Err(TaskError::input(format!("there is no object {uri}")));
            }
            Err(err) => return Err(self.fault(uri.key(), err).await),
        };
        let size = object.meta.size;
        if size > MAX_FILE_BYTES {
            return Err(too_large(uri.key(), size, MAX_FILE_BYTES));
        }
        let mut out = tokio::fs::File::create_new(file).await.map_err(disk)?;
        let mut pieces = object.into_stream();
        let mut n_bytes = 0;
        while let Some(piece) = self.heard(pieces.next()).await? {
            let piece = piece.map_err(away)?;
            out.write_all(&piece).await.map_err(disk)?;
            n_bytes += piece.len() as u64;
        }
        out.flush().await.map_err(disk)?;
        if n_bytes != size {
            let message = format!("the store gave {n_bytes} of {size} bytes of {uri}");
            return Err(TaskError::unavailable(message));
        }
        Ok(n_bytes)
    }

    /// Whether the store answers, for the health page and between two tries: asks for an object that
    /// need not exist.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it does not.
    pub async fn ping(&self) -> Result<(), TaskError> {
        // Where the objects of tasks are: a worker may be allowed nothing else.
        let key = Path::from("jobs/dalston-worker-ping");
        match self.heard(self.store.head(&key)).await? {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(err) => Err(away(err)),
        }
    }

    /// Why the store did not do as it was asked about this object. One that answers about another
    /// object knows the credentials, and its refusal is about this one.
    async fn fault(&self, key: &Path, err: object_store::Error) -> TaskError {
        use object_store::Error::{PermissionDenied, Unauthenticated};

        let is_refusal = matches!(err, PermissionDenied { .. } | Unauthenticated { .. });
        if is_refusal && self.ping().await.is_ok() {
            let message = format!("the store refuses this worker the object {key}");
            return TaskError::engine(message).caused_by(words_of(&err));
        }
        away(err)
    }

    /// Waits for the next word of the store, but not for ever.
    async fn heard<T>(&self, answer: impl Future<Output = T>) -> Result<T, TaskError> {
        let silence = self.silence;
        tokio::time::timeout(silence, answer).await.map_err(|_| {
            let message = format!("the store said nothing for {} s", silence.as_secs_f64());
            TaskError::unavailable(message)
        })
    }
}

fn too_large(key: &Path, size: u64, limit: u64) -> TaskError {
    let (size, limit) = (size >> 20, limit >> 20);
    TaskError::input(format!(
        "the object {key} has {size} MiB, expected at most {limit}"
    ))
}

fn away(err: object_store::Error) -> TaskError {
    TaskError::unavailable("the store does not answer as it should").caused_by(words_of(&err))
}

/// The store's own words hold their causes already: first what was asked for, then, after [`ANSWERED`], what
/// the server said. Of a long answer the beginning says it; the rest may quote the request, a session's
/// token included.
fn words_of(err: &object_store::Error) -> String {
    let words = err.to_string();
    let (asked, answered) = words.split_at(words.find(ANSWERED).unwrap_or(words.len()));
    let end = answered.char_indices().nth(MAX_ANSWER);
    match end {
        Some((end, _)) => format!("{asked}{}...", &answered[..end]),
        None => words,
    }
}

/// Whether there is no such object. Where there is no such bucket the worker is set up wrongly, which no
/// task can be blamed for.
fn is_missing(err: &object_store::Error) -> bool {
    matches!(err, object_store::Error::NotFound { .. }) && !err.to_string().contains("NoSuchBucket")
}

fn disk(err: std::io::Error) -> TaskError {
    TaskError::unavailable("a file for the task's audio cannot be written").caused_by(err)
}

#[cfg(test)]
mod tests;
