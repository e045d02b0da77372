//! The file that the decoder reads: its size is measured first, and every read checks the deadline.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use symphonia::core::errors::Error;
use symphonia::core::io::MediaSource;

use super::error::AudioError;
use super::wave_header;
use super::waveform::AudioLimits;

/// Tells a failed or slow source from a damaged file.
///
/// The decoder reports both as I/O errors, because it reports many faults of a file as I/O errors. So the
/// source itself records when a read failed.
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

    /// Fails if decoding has taken longer than the limit.
    pub(super) fn check_time(&self) -> Result<(), AudioError> {
        let max_decode_time = self.max_decode_time;
        if self.start.elapsed() > max_decode_time {
            return Err(AudioError::TooSlow { max_decode_time });
        }
        Ok(())
    }

    /// Returns the error if the file is at fault for it.
    ///
    /// # Errors
    ///
    /// The source failed, or the time is over.
    pub(super) fn blame(&self, err: Error) -> Result<Error, AudioError> {
        match err {
            Error::IoError(err) if self.source_failed.load(Ordering::Relaxed) => {
                Err(AudioError::Io(err))
            }
            err => self.check_time().map(|()| err),
        }
    }
}

/// The size of a file and its first bytes, read before it is decoded.
#[derive(Debug)]
pub(super) struct Measured {
    n_bytes: u64,
    /// The first bytes of the file.
    pub(super) head: Vec<u8>,
}

impl Measured {
    /// Reads up to `n_head` bytes, measures the file, and rewinds it.
    pub(super) fn new<R: Read + Seek>(
        reader: &mut R,
        n_head: u64,
        limits: &AudioLimits,
    ) -> Result<Self, AudioError> {
        let mut head = Vec::new();
        // The read comes first, because a directory opens and seeks like a file and fails only when read.
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
    /// The reader reads from the start to the end.
    Sequential,
}

/// A measured file, as the decoder reads it.
#[derive(Debug)]
pub(super) struct Source<'w, R> {
    reader: &'w mut R,
    position: u64,
    n_bytes: u64,
    access: Access,
    /// The decoder reads the four bytes at each of these offsets as [`wave_header::UNKNOWN`].
    unknown_lengths: [Option<u64>; 2],
    watch: &'w Watch,
}

impl<'w, R> Source<'w, R> {
    /// `reader` is at its start.
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
        // Checked in every read as well, because one call of the decoder may read the whole file.
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
        // An error here is the file's fault: a header may point to before the start of the file.
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
