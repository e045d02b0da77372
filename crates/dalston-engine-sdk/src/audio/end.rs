//! How the packets of a file ended, and the warning or error about it.

use std::io::ErrorKind;

use symphonia::core::errors::Error;

use super::error::{AudioError, AudioWarning};
use super::track::Track;

/// Seconds by which a file may be shorter than it states. Containers count in packets or
/// milliseconds, and a loss is at least a packet: 20 ms and more.
const LENGTH_TOLERANCE_S: f64 = 0.015;

/// How the packets ended.
pub(super) enum End {
    /// The container says that this was all, or does not say how much there is.
    Regular,
    /// The file ended where more was expected.
    Early,
    /// The rest cannot be read.
    GivenUp(Error),
}

impl End {
    /// Sorts the error that the container's reader returned in place of a packet.
    pub(super) fn of(err: Error) -> Self {
        match err {
            Error::IoError(err) if err.kind() == ErrorKind::UnexpectedEof => Self::Early,
            err => Self::GivenUp(err),
        }
    }

    /// The warning about a file that gave `actual_s` seconds and states `stated_s`, if any.
    pub(super) fn warning(
        self,
        container: &str,
        actual_s: f64,
        stated_s: Option<f64>,
    ) -> Option<AudioWarning> {
        if let Self::GivenUp(err) = self {
            return Some(AudioWarning::BrokenOff {
                actual_s,
                reason: err.to_string(),
            });
        }
        match stated_s {
            // For every kind of end, because some readers report every end as regular.
            Some(stated_s) if actual_s < stated_s - LENGTH_TOLERANCE_S => {
                Some(AudioWarning::Truncated {
                    actual_s,
                    expected_s: Some(stated_s),
                })
            }
            // The file was written to a pipe, or by a recorder that crashed. Its header states no length, so
            // nothing is missing.
            None if matches!(container, "wave" | "caf") => None,
            _ if matches!(self, Self::Early) => Some(AudioWarning::Truncated {
                actual_s,
                expected_s: None,
            }),
            _ => None,
        }
    }

    /// The error of a file that gave no sound at all.
    pub(super) fn without_sound(self, track: &Track) -> AudioError {
        let cause = match (&track.last_failure, &self) {
            (Some(Error::Unsupported(what)), _) => {
                let format = format!("{} ({what})", track.codec());
                return AudioError::Unsupported { format };
            }
            (Some(err), _) | (None, Self::GivenUp(err)) => err.to_string(),
            (None, Self::Regular | Self::Early) => match track.stated_s {
                Some(stated_s) if stated_s > 0.0 => {
                    format!("nothing of the stated {stated_s:.2} s could be read")
                }
                _ => return AudioError::Empty,
            },
        };
        AudioError::Malformed {
            source: cause.into(),
        }
    }
}
