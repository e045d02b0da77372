//! Loads a recording from a file, a pipe, or the standard input.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use dalston_engine_sdk::audio::{self, AudioError, AudioLimits, Waveform};

/// Where a recording comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The standard input, read to its end; `-` on the command line.
    Stdin,
}

impl Source {
    /// Checks that the recording can be opened. Reads nothing, and does not open a pipe: its writer would take
    /// that for the reader.
    pub(crate) fn check(&self) -> Result<(), AudioError> {
        let Self::File(path) = self else {
            return Ok(());
        };
        let kind = fs::metadata(path).map_err(AudioError::Io)?.file_type();
        if kind.is_dir() {
            return Err(AudioError::Io(io::ErrorKind::IsADirectory.into()));
        }
        if kind.is_file() {
            File::open(path).map_err(AudioError::Io)?;
        }
        Ok(())
    }

    /// Decodes the whole recording.
    pub(crate) fn load(&self, limits: &AudioLimits) -> Result<Waveform, AudioError> {
        match self {
            Self::File(path) if is_pipe(path) => {
                read_whole(File::open(path).map_err(AudioError::Io)?, limits)
            }
            Self::File(path) => audio::load(path, limits),
            Self::Stdin => read_whole(io::stdin().lock(), limits),
        }
    }
}

/// Whether a path leads to a pipe, such as a shell makes for `<(...)`. A pipe can be read only once and only
/// forwards, and the reader of a container seeks.
fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo())
}

fn read_whole(input: impl Read, limits: &AudioLimits) -> Result<Waveform, AudioError> {
    // One byte over the limit, so that `audio::read` sees that the input exceeds it.
    let mut input = input.take(limits.max_bytes.saturating_add(1));
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(AudioError::Io)?;
    audio::read(Cursor::new(bytes), limits)
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" {
            Self::Stdin
        } else {
            Self::File(path)
        }
    }
}

/// The name in results and errors: the path as the user gave it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::thread;

    use super::*;

    #[test]
    fn a_pipe_is_heard_as_the_file_that_comes_through_it() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/speech/jfk.wav"
        );
        let bytes = fs::read(file).expect("it is in the repository");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let limits = AudioLimits::default();
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&bytes));
            let piped = Source::from(PathBuf::from(path)).load(&limits);
            let whole = Source::from(PathBuf::from(file)).load(&limits);
            let samples = |it: Result<Waveform, AudioError>| it.expect("it is audio").samples;
            assert!(samples(piped) == samples(whole));
        });
    }
}
