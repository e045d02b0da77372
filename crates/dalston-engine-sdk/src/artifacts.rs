//! A task's objects in the store: reads documents into memory and audio into files, with a limit on every
//! wait.

use std::future::Future;
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

use crate::config::StoreConfig;
use crate::error::TaskError;

mod download;

/// The objects of one bucket.
///
/// Every call ends: a call to a server that sends nothing for 30 s fails. The error's kind decides whether
/// the task fails or is tried again:
///
/// - [`ErrorKind::Input`](crate::ErrorKind::Input): the object is missing, too large or named wrongly. The
///   task is at fault and fails.
/// - [`ErrorKind::Engine`](crate::ErrorKind::Engine): the store refuses this object but answers
///   [`ping`](Self::ping). The task fails: a task that was tried again and again would hold up the queue.
/// - [`ErrorKind::Disk`](crate::ErrorKind::Disk): a file cannot be written here. The task is tried again.
/// - [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable): anything else, wrong credentials included.
///   The task is tried again, because another worker or a later try may succeed.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    idle_timeout: Duration,
}

/// Longest time that a connection to a store may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest wait for the next bytes of a store: for its answer, and between two pieces of the answer. There
/// is no limit on a whole download, which may take long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest document that is read, in bytes. A request contains the outputs of earlier stages: two hours of
/// words with characters and phonemes take about 20 MB.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// The words with which object_store introduces a server's answer in the text of an error.
const ANSWERED: &str = "Server returned";

/// Most characters of a server's answer that an error keeps.
const MAX_ANSWER: usize = 300;

impl Artifacts {
    /// The objects in `store`, which is the bucket called `bucket`.
    pub fn new(store: Arc<dyn ObjectStore>, bucket: impl Into<String>) -> Self {
        Self {
            store,
            bucket: bucket.into(),
            idle_timeout: IDLE_TIMEOUT,
        }
    }

    /// Sets the longest wait for the next bytes of the store; 30 s by default.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// The bucket of an S3 server. Makes no connection yet.
    ///
    /// Credentials come from AWS's usual chain: environment, web identity, container, instance.
    ///
    /// # Errors
    ///
    /// The settings do not fit together; for example, the endpoint is no URL.
    pub fn connect(config: &StoreConfig) -> Result<Self, object_store::Error> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&config.bucket)
            .with_client_options(
                ClientOptions::new()
                    .with_connect_timeout(CONNECT)
                    .with_read_timeout(IDLE_TIMEOUT)
                    // The download of two hours of audio may take longer than any limit on a whole request.
                    .with_timeout_disabled()
                    .with_allow_http(true),
            )
            // Few retries here: the runner tries again with its own back-off, which its log and its health
            // page show.
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
                // `from_env` may have found several endpoints; object_store uses this key before the others.
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
    /// `Input` if the document is larger than 64 MiB, `Engine` if the store refuses this document alone,
    /// `Unavailable` if the store does not deliver it.
    pub async fn read(&self, key: &Path) -> Result<Option<Bytes>, TaskError> {
        let object = match self.answer_of(self.store.get(key)).await? {
            Ok(object) => object,
            Err(err) if is_missing(&err) => return Ok(None),
            Err(err) => return Err(self.task_error(key, err).await),
        };
        let size = object.meta.size;
        if size > MAX_DOCUMENT_BYTES {
            return Err(too_large(key, size, MAX_DOCUMENT_BYTES));
        }
        // The server states the size; the check above bounds the allocation.
        let mut document = BytesMut::with_capacity(size as usize);
        let mut pieces = object.into_stream();
        while let Some(piece) = self.answer_of(pieces.next()).await? {
            document.extend_from_slice(&piece.map_err(unavailable)?);
        }
        Ok(Some(document.freeze()))
    }

    /// Whether the object exists.
    ///
    /// # Errors
    ///
    /// `Engine` if the store refuses this object alone, `Unavailable` if the store does not answer.
    pub async fn exists(&self, key: &Path) -> Result<bool, TaskError> {
        match self.answer_of(self.store.head(key)).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(err) => Err(self.task_error(key, err).await),
        }
    }

    /// Stores a JSON document, whole or not at all; replaces an object that exists.
    ///
    /// # Errors
    ///
    /// `Engine` if the store refuses this object alone, `Unavailable` if the store does not confirm the
    /// write. The object may then be stored: writing it again is harmless.
    pub async fn write(&self, key: &Path, document: Bytes) -> Result<(), TaskError> {
        let content_type = (Attribute::ContentType, "application/json");
        let options = PutOptions {
            attributes: Attributes::from_iter([content_type]),
            ..PutOptions::default()
        };
        let put = self
            .store
            .put_opts(key, PutPayload::from(document), options);
        match self.answer_of(put).await? {
            Ok(_) => Ok(()),
            Err(err) => Err(self.task_error(key, err).await),
        }
    }

    /// Checks that the store answers, by asking for an object that need not exist.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the store does not answer, or refuses.
    pub async fn ping(&self) -> Result<(), TaskError> {
        // Below `jobs`, where the tasks' objects are: a worker may have no rights outside.
        let key = Path::from("jobs/dalston-worker-ping");
        match self.answer_of(self.store.head(&key)).await? {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(err) => Err(unavailable(err)),
        }
    }

    /// Turns an error of the store about one object into a task's error.
    ///
    /// A store that refuses this object but answers a ping accepts the credentials, so the refusal concerns
    /// this object alone. Otherwise the credentials are wrong, which is no task's fault.
    async fn task_error(&self, key: &Path, err: object_store::Error) -> TaskError {
        use object_store::Error::{PermissionDenied, Unauthenticated};

        let is_refusal = matches!(err, PermissionDenied { .. } | Unauthenticated { .. });
        if is_refusal && self.ping().await.is_ok() {
            let message = format!("the store refuses this worker the object {key}");
            return TaskError::engine(message).caused_by(shortened(&err));
        }
        let message = format!("the store does not serve the object {key}");
        TaskError::unavailable(message).caused_by(shortened(&err))
    }

    /// Waits for the next answer of the store, at most the idle timeout.
    ///
    /// The client's own read timeout covers a server that stops within a response; this one covers every
    /// store, and the time before a response begins.
    async fn answer_of<T>(&self, answer: impl Future<Output = T>) -> Result<T, TaskError> {
        let idle = self.idle_timeout;
        tokio::time::timeout(idle, answer).await.map_err(|_| {
            let message = format!("the store said nothing for {} s", idle.as_secs_f64());
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

fn unavailable(err: object_store::Error) -> TaskError {
    TaskError::unavailable("the store does not answer as it should").caused_by(shortened(&err))
}

/// The text of a store's error, for the log, with a long answer of the server cut.
///
/// object_store writes all causes into one text: first the request, then, after [`ANSWERED`], the server's
/// answer. The beginning of the answer names the reason. The rest may quote the whole request, which
/// contains a session's token and must not reach the log.
fn shortened(err: &object_store::Error) -> String {
    let text = err.to_string();
    let (asked, answered) = text.split_at(text.find(ANSWERED).unwrap_or(text.len()));
    let end = answered.char_indices().nth(MAX_ANSWER);
    match end {
        Some((end, _)) => format!("{asked}{}...", &answered[..end]),
        None => text,
    }
}

/// Whether the object does not exist. A missing bucket gives the same error variant, but then the worker is
/// set up wrongly, and no task is at fault.
fn is_missing(err: &object_store::Error) -> bool {
    matches!(err, object_store::Error::NotFound { .. }) && !err.to_string().contains("NoSuchBucket")
}

#[cfg(test)]
mod tests;
