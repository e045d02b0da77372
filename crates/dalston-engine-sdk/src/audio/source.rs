//! The file under the decoder: measured first, read under a deadline.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use symphonia::core::errors::Error;
use symphonia::core::io::MediaSource;

use super::{AudioError, AudioLimits, wave_header};

/// Tells a source that failed, or took too long, from a file that is damaged.
///
/// The decoder reports both as an I/O error: it turns much of what it does not like about a file
/// into one. So the source itself notes when reading failed.
#[derive(Debug)]
pub(super) struct Watch {
    start: Instant,
    max_decode_time: Duration,
    source_failed: AtomicBool,
}

impl Watch {
    pub(super) fn new(limits: &AudioLimits) -> Self {
        let max_decode_time = limits.max_decode_time;
        Self {
            start: Instant::now(),
            max_decode_time,
            source_failed: AtomicBool::new(false),
        }
    }

    /// Fails if decoding has taken longer than it may.
    pub(super) fn check_time(&self) -> Result<(), AudioError> {
        let max_decode_time = self.max_decode_time;
        if self.start.elapsed() > max_decode_time {
            return Err(AudioError::TooSlow { max_decode_time });
        }
        Ok(())
    }

    /// Gives back an error that is the fault of the file.
    pub(super) fn blame(&self, err: Error) -> Result<Error, AudioError> {
        match err {
            Error::IoError(err) if self.source_failed.load(Ordering::Relaxed) => {
                Err(AudioError::Io(err))
            }
            err => self.check_time().map(|()| err),
        }
    }
}

/// What is known of a file before it is decoded.
#[derive(Debug)]
pub(super) struct Measured {
    n_bytes: u64,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
}

impl Measured {
    /// Reads up to `n_head` bytes, measures the whole, and rewinds.
    pub(super) fn new<R: Read + Seek>(
        reader: &mut R,
        n_head: u64,
        limits: &AudioLimits,
    ) -> Result<Self, AudioError> {
        let mut head = Vec::new();
        // First of all: a directory opens and seeks like a file, and only reading it fails.
        reader
            .by_ref()
            .take(n_head)
            .read_to_end(&mut head)
            .map_err(AudioError::Io)?;
        let n_bytes = reader.seek(SeekFrom::End(0)).map_err(AudioError::Io)?;
        reader.rewind().map_err(AudioError::Io)?;
        match n_bytes {
            0 => Err(AudioError::Empty),
            n if n > limits.max_bytes => Err(AudioError::TooLarge {
                actual_bytes: n,
                max_bytes: limits.max_bytes,
            }),
            _ => Ok(Self { n_bytes, head }),
        }
    }
}

/// How a container is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The reader looks behind the sound for more headers.
    Seeking,
    /// The reader takes what comes.
    Sequential,
}

/// A measured file on its way into the decoder.
#[derive(Debug)]
pub(super) struct Source<'w, R> {
    reader: &'w mut R,
    position: u64,
    n_bytes: u64,
    access: Access,
    /// Four bytes at each of these offsets are read as unknown lengths.
    unknown_lengths: [Option<u64>; 2],
    watch: &'w Watch,
}

impl<'w, R> Source<'w, R> {
    /// `reader` stands at its start.
    pub(super) fn new(
        reader: &'w mut R,
        measured: &Measured,
        access: Access,
        watch: &'w Watch,
    ) -> Self {
        let n_bytes = measured.n_bytes;
        let unknown_lengths = wave_header::unbelievable_lengths(&measured.head, n_bytes);
        Self {
            reader,
            position: 0,
            n_bytes,
            access,
            unknown_lengths,
            watch,
        }
    }
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Also here, because one call of the decoder may read the whole file.
        self.watch
            .check_time()
            .map_err(|_| io::ErrorKind::TimedOut)?;
        let result = self.reader.read(buffer);
        if result
            .as_ref()
            .is_err_and(|err| err.kind() != io::ErrorKind::Interrupted)
        {
            self.watch.source_failed.store(true, Ordering::Relaxed);
        }
        let n_read = result?;
        for offset in self.unknown_lengths.into_iter().flatten() {
            for (at, byte) in (offset..).zip(wave_header::UNKNOWN) {
                let in_buffer = at.checked_sub(self.position).map(|at| at as usize);
                if let Some(at) = in_buffer.filter(|&at| at < n_read) {
                    buffer[at] = byte;
                }
            }
        }
        self.position += n_read as u64;
        Ok(n_read)
    }
}

impl<R: Seek> Seek for Source<'_, R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        // An error here is no failure of the source: a header may point to before the start.
        self.position = self.reader.seek(position)?;
        Ok(self.position)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<'_, R> {
    fn is_seekable(&self) -> bool {
        self.access == Access::Seeking
    }

    fn byte_len(&self) -> Option<u64> {
        (self.access == Access::Seeking).then_some(self.n_bytes)
    }
}
