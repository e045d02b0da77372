//! How the packets of a file came to an end, and what is to be said about it.

use std::io::ErrorKind;

use symphonia::core::errors::Error;

use super::track::Track;
use super::{AudioError, AudioWarning};

/// Seconds by which a file may be shorter than it states. Containers count in packets or
/// milliseconds, and a loss is at least a packet: 20 ms and more.
const LENGTH_TOLERANCE_S: f64 = 0.015;

/// How the packets came to an end.
pub(super) enum End {
    /// The container says that this was all, or cannot say.
    Regular,
    /// The file ended where more was expected.
    Early,
    /// The rest cannot be read.
    GivenUp(Error),
}

impl End {
    /// Sorts what the container's reader said instead of giving a packet.
    pub(super) fn of(err: Error) -> Self {
        match err {
            Error::IoError(err) if err.kind() == ErrorKind::UnexpectedEof => Self::Early,
            err => Self::GivenUp(err),
        }
    }

    /// What to tell about a file that gave `actual_s` seconds and states `stated_s`.
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
            // Whatever the end looked like: some readers take any end for regular.
            Some(stated_s) if actual_s < stated_s - LENGTH_TOLERANCE_S => {
                Some(AudioWarning::Truncated {
                    actual_s,
                    expected_s: Some(stated_s),
                })
            }
            // Written to a pipe, or by a recorder that crashed: a header without a length promises
            // nothing, and all that there is has been read.
            None if matches!(container, "wave" | "caf") => None,
            _ if matches!(self, Self::Early) => Some(AudioWarning::Truncated {
                actual_s,
                expected_s: None,
            }),
            _ => None,
        }
    }

    /// Why there was no sound at all.
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
