//! The file under the decoder: its size is checked first, and reading it has a deadline.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use symphonia::core::io::MediaSource;

use super::{AudioError, AudioLimits};

/// Tells a source that failed from a file that is damaged.
///
/// The decoder reports both as an I/O error: it turns much of what it does not like about a file
/// into one. So the source itself notes when reading failed.
#[derive(Debug)]
pub(super) struct Watch {
    deadline: Instant,
    source_failed: AtomicBool,
}

impl Watch {
    pub(super) fn new(limits: &AudioLimits) -> Self {
        Self {
            deadline: Instant::now() + limits.max_decode_time,
            source_failed: AtomicBool::new(false),
        }
    }

    pub(super) fn source_failed(&self) -> bool {
        self.source_failed.load(Ordering::Relaxed)
    }

    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() > self.deadline
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result
            .as_ref()
            .is_err_and(|err| err.kind() != io::ErrorKind::Interrupted)
        {
            self.source_failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// A seekable reader of known length, watched by a [`Watch`].
#[derive(Debug)]
pub(super) struct Source<'w, R> {
    reader: R,
    n_bytes: u64,
    watch: &'w Watch,
}

impl<'w, R: Read + Seek> Source<'w, R> {
    /// Measures the source and rewinds it.
    pub(super) fn new(
        mut reader: R,
        limits: &AudioLimits,
        watch: &'w Watch,
    ) -> Result<Self, AudioError> {
        // A directory opens and even seeks like a file; only reading it fails.
        reader.read(&mut [0]).map_err(AudioError::Io)?;
        let n_bytes = reader.seek(SeekFrom::End(0)).map_err(AudioError::Io)?;
        reader.rewind().map_err(AudioError::Io)?;
        match n_bytes {
            0 => Err(AudioError::Empty),
            n if n > limits.max_bytes => Err(AudioError::TooLarge {
                actual_bytes: n,
                max_bytes: limits.max_bytes,
            }),
            _ => Ok(Self {
                reader,
                n_bytes,
                watch,
            }),
        }
    }

    /// Reads up to `buffer.len()` bytes from the start, and rewinds.
    pub(super) fn peek(&mut self, mut buffer: &mut [u8]) -> Result<usize, AudioError> {
        let wanted = buffer.len();
        let copied = io::copy(&mut (&mut self.reader).take(wanted as u64), &mut buffer);
        self.reader.rewind().map_err(AudioError::Io)?;
        copied.map(|n| n as usize).map_err(AudioError::Io)
    }
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Also here, because one call of the decoder may read the whole file.
        if self.watch.is_overdue() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.watch.note(self.reader.read(buffer))
    }
}

impl<R: Seek> Seek for Source<'_, R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        // A seek to before the start is a lie of the file, not a fault of the source.
        self.reader.seek(position)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<'_, R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.n_bytes)
    }
}
