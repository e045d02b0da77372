//! Downloads an object into a file, and goes on where a broken connection ended.

use std::io::SeekFrom;
use std::path::Path as FilePath;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::{GetOptions, GetRange, GetResult};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::sleep;

use super::{Artifacts, is_missing, too_large, unavailable};
use crate::error::{ErrorKind, TaskError};
use crate::uri::ObjectUri;

/// Largest file that is downloaded, in bytes; [`audio`](crate::audio) reads no larger file either.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// How often in a row a download goes on without getting a byte further, before it is given up.
const MAX_VAIN: u32 = 3;

/// Pause before a download goes on.
const PAUSE: Duration = Duration::from_millis(500);

/// An object of which a part is in a file.
struct Part {
    uri: ObjectUri,
    file: File,
    n_bytes: u64,
    size: u64,
    /// The version that the part belongs to; `None` if the store names none.
    e_tag: Option<String>,
}

impl Artifacts {
    /// Downloads an object into a new file, piece by piece; returns its size in bytes.
    ///
    /// A download whose connection breaks goes on where it was, as long as it gets further. If the object has
    /// changed meanwhile, the download begins again.
    ///
    /// After an error a part of the file may remain. The caller removes it with the folder.
    ///
    /// # Errors
    ///
    /// `Input` if the URI is not in the bucket, or if the object is missing or larger than 4 GiB; `Engine` if
    /// the store refuses this object alone; `Unavailable` if the store stops sending; `Disk` if the disk has
    /// no room for the object or takes no file.
    pub async fn download(&self, uri: &str, file: &FilePath) -> Result<u64, TaskError> {
        let uri =
            ObjectUri::parse(uri, &self.bucket).map_err(|err| TaskError::input(err.to_string()))?;
        let object = self.object(&uri, GetOptions::default()).await?;
        let size = object.meta.size;
        check_room(&uri, size, file)?;
        let mut part = Part {
            uri,
            // `create_new`: a file that exists would be another input's.
            file: File::create_new(file).await.map_err(disk)?,
            n_bytes: 0,
            size,
            e_tag: object.meta.e_tag.clone(),
        };
        let mut received = self.receive(&mut part, object).await;
        let (mut n_vain, mut furthest) = (0, part.n_bytes);
        loop {
            let err = match received {
                Ok(()) => return Ok(part.size),
                Err(err) if err.kind() == ErrorKind::Unavailable && n_vain < MAX_VAIN => err,
                Err(err) => return Err(err),
            };
            let before = part.n_bytes;
            tracing::warn!(error = err.chain(), n_bytes = before, "download_resumed");
            sleep(PAUSE).await;
            received = self.go_on(&mut part).await;
            // Not compared with `before`: a store that answers no range for the part sends the same bytes again.
            n_vain = match part.n_bytes > furthest {
                true => 0,
                false => n_vain + 1,
            };
            furthest = furthest.max(part.n_bytes);
        }
    }

    /// Asks for the rest of an object.
    async fn go_on(&self, part: &mut Part) -> Result<(), TaskError> {
        // Without a version nobody can say whether the rest belongs to the part.
        if part.e_tag.is_none() {
            part.restart().await?;
        }
        if part.n_bytes == 0 {
            let object = self.object(&part.uri, GetOptions::default()).await?;
            part.size = object.meta.size;
            part.e_tag.clone_from(&object.meta.e_tag);
            return self.receive(part, object).await;
        }
        if part.n_bytes == part.size {
            return part.end().await;
        }
        let rest = GetOptions {
            range: Some(GetRange::Offset(part.n_bytes)),
            if_match: part.e_tag.clone(),
            ..GetOptions::default()
        };
        let object = match self
            .answer_of(self.store.get_opts(part.uri.key(), rest))
            .await?
        {
            Ok(object) => object,
            Err(object_store::Error::Precondition { .. }) => {
                part.restart().await?;
                return Err(TaskError::unavailable(
                    "the object changed during its download",
                ));
            }
            Err(err) => return Err(self.object_error(&part.uri, err).await),
        };
        // A store that does not know ranges begins anew.
        if object.range.start != part.n_bytes || object.meta.e_tag != part.e_tag {
            part.restart().await?;
            return Err(TaskError::unavailable(
                "the store sent another part than asked for",
            ));
        }
        self.receive(part, object).await
    }

    /// Writes what the store sends.
    async fn receive(&self, part: &mut Part, object: GetResult) -> Result<(), TaskError> {
        let mut pieces = object.into_stream();
        while let Some(piece) = self.answer_of(pieces.next()).await? {
            let piece = piece.map_err(unavailable)?;
            part.file.write_all(&piece).await.map_err(disk)?;
            part.n_bytes += piece.len() as u64;
        }
        part.end().await
    }

    async fn object(&self, uri: &ObjectUri, options: GetOptions) -> Result<GetResult, TaskError> {
        let object = match self
            .answer_of(self.store.get_opts(uri.key(), options))
            .await?
        {
            Ok(object) => object,
            Err(err) => return Err(self.object_error(uri, err).await),
        };
        let size = object.meta.size;
        if size > MAX_FILE_BYTES {
            return Err(too_large(uri.key(), size, MAX_FILE_BYTES));
        }
        Ok(object)
    }

    async fn object_error(&self, uri: &ObjectUri, err: object_store::Error) -> TaskError {
        match is_missing(&err) {
            true => TaskError::input(format!("there is no object {uri}")),
            false => self.task_error(uri.key(), err).await,
        }
    }
}

impl Part {
    /// Forgets what was received.
    async fn restart(&mut self) -> Result<(), TaskError> {
        self.n_bytes = 0;
        // Before the file is cut: tokio writes in the background.
        self.file.flush().await.map_err(disk)?;
        self.file.set_len(0).await.map_err(disk)?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(disk)?;
        Ok(())
    }

    /// Checks that the file is whole.
    async fn end(&mut self) -> Result<(), TaskError> {
        // tokio writes in the background: the error of the last write arrives only here.
        self.file.flush().await.map_err(disk)?;
        // A store that closes the connection early ends the stream without an error.
        if self.n_bytes == self.size {
            return Ok(());
        }
        let (n_bytes, size, uri) = (self.n_bytes, self.size, &self.uri);
        let message = format!("the store gave {n_bytes} of {size} bytes of {uri}");
        Err(TaskError::unavailable(message))
    }
}

/// Checks that the disk has room for an object, before the download fills it up for the other tasks.
fn check_room(uri: &ObjectUri, size: u64, file: &FilePath) -> Result<(), TaskError> {
    let folder = file.parent().unwrap_or(FilePath::new("."));
    // A system that does not say how much is free finds out by writing.
    let Ok(system) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if size <= free {
        return Ok(());
    }
    let (size, free) = (size >> 20, free >> 20);
    Err(TaskError::disk(format!(
        "the object {uri} has {size} MiB, and the worker's disk has {free} MiB free"
    )))
}

fn disk(err: std::io::Error) -> TaskError {
    TaskError::disk("a file for the task's audio cannot be written").caused_by(err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_larger_than_the_free_space_is_refused_as_the_disks_fault() {
        let uri = ObjectUri::parse("s3://bucket/a", "bucket").expect("a URI");
        let file = tempfile::env::temp_dir().join("audio");
        assert!(check_room(&uri, 1, &file).is_ok());
        let err = check_room(&uri, 1 << 60, &file).expect_err("no disk is so large");
        assert_eq!(err.kind(), ErrorKind::Disk);
        assert!(
            err.to_string().starts_with("the object s3://bucket/a has "),
            "{err}"
        );
    }
}
