//! Where a recording comes from.

use std::fmt;
use std::io::{self, Cursor, Read as _};
use std::path::PathBuf;

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
    pub(crate) fn load(&self, limits: &AudioLimits) -> Result<Waveform, AudioError> {
        match self {
            Self::File(path) => audio::load(path, limits),
            Self::Stdin => {
                // One byte over the limit, so that the limit is seen to be passed.
                let mut bytes = Vec::new();
                let mut input = io::stdin().lock().take(limits.max_bytes.saturating_add(1));
                input.read_to_end(&mut bytes).map_err(AudioError::Io)?;
                audio::read(Cursor::new(bytes), limits)
            }
        }
    }
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

/// The name that results and errors carry: the path as it was given.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}
