//! The file that the decoder reads: it begins behind the file's ID3v2 tags, and every read checks the deadline.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use symphonia::core::errors::Error;
use symphonia::core::io::MediaSource;

use super::error::AudioError;
use super::id3_tag;
use super::wave_header;
use super::waveform::AudioLimits;

/// Tells a failed or slow source from a damaged file.
///
/// The decoder reports both as I/O errors, because it reports many faults of a file as I/O errors. So the
/// source itself records when a read failed.
#[derive(Debug)]
pub(super) struct Watch {
    /// What this thread had used when the decoding began. The whole file is decoded on one thread.
    start: Duration,
    max_decode_time: Duration,
    source_failed: AtomicBool,
}

impl Watch {
    pub(super) fn new(limits: &AudioLimits) -> Self {
        let max_decode_time = limits.max_decode_time;
        Self {
            start: processor_time(),
            max_decode_time,
            source_failed: AtomicBool::new(false),
        }
    }

    /// Fails if decoding has used more time of the processor than the limit.
    ///
    /// The wall clock would blame the file for a machine that stands still or is busy with others.
    pub(super) fn check_time(&self) -> Result<(), AudioError> {
        let max_decode_time = self.max_decode_time;
        if processor_time().saturating_sub(self.start) > max_decode_time {
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

/// The time that this thread has used on a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The size of a file, its tags and its first bytes, read before it is decoded.
#[derive(Debug)]
pub(super) struct Measured {
    n_bytes: u64,
    /// Where the ID3v2 tags end that the file has in full; 0 if it has none.
    start: u64,
    /// Where the tag at `start` ends by its own header, if the file ends before.
    cut_off_tag_end: Option<u64>,
    /// The first bytes from `start`.
    pub(super) head: Vec<u8>,
}

impl Measured {
    /// Measures the file and its tags, and reads up to `n_head` bytes behind them.
    pub(super) fn new<R: Read + Seek>(
        reader: &mut R,
        n_head: u64,
        limits: &AudioLimits,
        watch: &Watch,
    ) -> Result<Self, AudioError> {
        // The read comes first, because a directory opens and seeks like a file and fails only when read.
        read_at(reader, 0, 1).map_err(AudioError::Io)?;
        let n_bytes = reader.seek(SeekFrom::End(0)).map_err(AudioError::Io)?;
        match n_bytes {
            0 => return Err(AudioError::Empty),
            n if n > limits.max_bytes => {
                return Err(AudioError::TooLarge {
                    actual_bytes: n,
                    max_bytes: limits.max_bytes,
                });
            }
            _ => {}
        }
        let (mut start, mut cut_off_tag_end) = (0, None);
        while cut_off_tag_end.is_none() {
            // A hostile file can consist of a hundred million tags.
            watch.check_time()?;
            let header = read_at(reader, start, id3_tag::HEADER_BYTES).map_err(AudioError::Io)?;
            let Some(length) = id3_tag::length(&header, start) else {
                break;
            };
            match start + length {
                end if end > n_bytes => cut_off_tag_end = Some(end),
                end => start = end,
            }
        }
        let head = read_at(reader, start, n_head).map_err(AudioError::Io)?;
        if head.is_empty() {
            return Err(AudioError::Empty);
        }
        Ok(Self {
            n_bytes,
            start,
            cut_off_tag_end,
            head,
        })
    }

    /// Explains why no format was found in the file.
    pub(super) fn without_format(&self) -> AudioError {
        match self.cut_off_tag_end {
            Some(end) => {
                let n_bytes = self.n_bytes;
                let source =
                    format!("its ID3 tag ends at byte {end}, but the file has {n_bytes} bytes");
                AudioError::Malformed {
                    source: source.into(),
                }
            }
            None => AudioError::UnknownContainer,
        }
    }
}

/// Reads up to `n` bytes at `offset`.
fn read_at<R: Read + Seek>(reader: &mut R, offset: u64, n: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.seek(SeekFrom::Start(offset))?;
    reader.take(n).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How a container is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The reader looks behind the sound for more headers.
    Seeking,
    /// The reader reads from the start to the end.
    Sequential,
}

/// A measured file, as the decoder reads it. Positions count from the end of the ID3v2 tags, because the parsers
/// of some containers expect the start of the container at position 0.
#[derive(Debug)]
pub(super) struct Source<'w, R> {
    reader: &'w mut R,
    /// Position 0, as an offset in the file.
    start: u64,
    position: u64,
    n_bytes: u64,
    access: Access,
    /// The decoder reads the four bytes at each of these offsets as [`wave_header::UNKNOWN`].
    unknown_lengths: [Option<u64>; 2],
    watch: &'w Watch,
}

impl<'w, R: Seek> Source<'w, R> {
    /// Moves `reader` to the end of the tags.
    pub(super) fn new(
        reader: &'w mut R,
        measured: &Measured,
        access: Access,
        watch: &'w Watch,
    ) -> Result<Self, AudioError> {
        let start = measured.start;
        let n_bytes = measured.n_bytes - start;
        let unknown_lengths = wave_header::unbelievable_lengths(&measured.head, n_bytes);
        reader
            .seek(SeekFrom::Start(start))
            .map_err(AudioError::Io)?;
        Ok(Self {
            reader,
            start,
            position: 0,
            n_bytes,
            access,
            unknown_lengths,
            watch,
        })
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
        let position = match position {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.n_bytes.checked_add_signed(offset),
        };
        // An error here is the file's fault: a header may point to before the start or beyond all numbers.
        let position = position.ok_or(io::ErrorKind::InvalidInput)?;
        let offset = position.checked_add(self.start);
        let offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        self.reader.seek(SeekFrom::Start(offset))?;
        self.position = position;
        Ok(position)
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
