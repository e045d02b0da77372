//! Reads a file from its first byte to its last packet.

use std::io::{Read, Seek};

use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::sink::Sink;
use super::source::{Source, Watch};
use super::track::Track;
use super::{AudioError, AudioFormat, AudioLimits, AudioWarning, Waveform, unread};

/// Does what [`super::read`] says.
pub(super) fn decode<R>(reader: R, limits: &AudioLimits) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    let watch = Watch::new(limits);
    let mut format = open(reader, limits, &watch)?;
    let mut track = Track::choose(&*format)?;
    let mut sink = Sink::new(limits);
    let mut stated_s = track.stated_s;
    let end = loop {
        if watch.is_overdue() {
            return Err(too_slow(limits));
        }
        match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track.id => track.decode(packet, &mut sink)?,
            // Another track of the container.
            Ok(Some(_)) => {}
            Ok(None) => break End::Regular,
            // Another stream follows, as in Ogg files that were joined.
            Err(Error::ResetRequired) => {
                track = Track::choose(&*format)?;
                stated_s = stated_s.zip(track.stated_s).map(|(a, b)| a + b);
            }
            Err(err) => break End::of(err, &watch, limits)?,
        }
        if track.n_bad_in_a_row > limits.max_bad_packets {
            break End::GivenUp(Error::DecodeError(
                "too many packets in a row give no sound",
            ));
        }
    };
    let source_format = sink.first_format;
    let (samples, warnings) = sink.finish()?;
    let Some((sample_rate_hz, n_channels)) = source_format.filter(|_| !samples.is_empty()) else {
        return Err(no_sound(end, track));
    };
    let source = AudioFormat {
        container: format.format_info().short_name.to_owned(),
        codec: track.codec().to_owned(),
        sample_rate_hz,
        n_channels: n_channels as u16,
    };
    let mut waveform = Waveform {
        samples,
        source,
        warnings,
    };
    let n_audio_tracks = format
        .tracks()
        .iter()
        .filter(|t| t.track_type() == Some(TrackType::Audio))
        .count();
    if n_audio_tracks > 1 {
        let n_tracks = n_audio_tracks - 1;
        waveform
            .warnings
            .push(AudioWarning::OtherTracks { n_tracks });
    }
    waveform
        .warnings
        .extend(end.warning(waveform.duration_s(), stated_s));
    Ok(waveform)
}

/// How the packets came to an end.
enum End {
    /// As the format has it.
    Regular,
    /// The file ended where more was expected.
    Early,
    /// The rest cannot be read.
    GivenUp(Error),
}

impl End {
    /// Sorts an error of the container reader: an end, or a failure of the source.
    fn of(err: Error, watch: &Watch, limits: &AudioLimits) -> Result<Self, AudioError> {
        match failure(err, watch, limits) {
            Failure::OfSource(err) => Err(err),
            Failure::OfFile(Error::IoError(err))
                if err.kind() == std::io::ErrorKind::UnexpectedEof =>
            {
                Ok(Self::Early)
            }
            Failure::OfFile(err) => Ok(Self::GivenUp(err)),
        }
    }

    /// What to tell about a file that gave `actual_s` seconds and states `stated_s`.
    fn warning(self, actual_s: f64, stated_s: Option<f64>) -> Option<AudioWarning> {
        match self {
            Self::Regular => None,
            // Written to a pipe, or by a recorder that crashed: a header without a length promises
            // nothing, and all that there was has been read.
            Self::Early => stated_s.map(|expected_s| AudioWarning::Truncated {
                actual_s,
                expected_s,
            }),
            Self::GivenUp(err) => Some(AudioWarning::BrokenOff {
                actual_s,
                reason: err.to_string(),
            }),
        }
    }
}

/// Finds out the container and reads its headers.
fn open<'w, R>(
    reader: R,
    limits: &AudioLimits,
    watch: &'w Watch,
) -> Result<Box<dyn FormatReader + 'w>, AudioError>
where
    R: Read + Seek + Send + Sync + 'w,
{
    let mut source = Source::new(reader, limits, watch)?;
    let mut head = [0; unread::HEAD_BYTES];
    let n_head = source.peek(&mut head)?;
    if let Some(name) = unread::container(&head[..n_head]) {
        return Err(AudioError::Unsupported {
            format: name.to_owned(),
        });
    }
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    // Titles and pictures are not wanted.
    let metadata = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(1024))
        .limit_visual_bytes(Limit::Maximum(1024));
    symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), metadata)
        .map_err(|err| match failure(err, watch, limits) {
            Failure::OfSource(err) => err,
            // The only way in which the probe itself fails.
            Failure::OfFile(Error::Unsupported(what)) if what.starts_with("core (probe)") => {
                AudioError::UnknownContainer
            }
            Failure::OfFile(err) => AudioError::Malformed {
                source: Box::new(err),
            },
        })
}

/// Whose fault an error of the decoder is.
enum Failure {
    OfSource(AudioError),
    OfFile(Error),
}

fn failure(err: Error, watch: &Watch, limits: &AudioLimits) -> Failure {
    match err {
        Error::IoError(err) if watch.source_failed() => Failure::OfSource(AudioError::Io(err)),
        _ if watch.is_overdue() => Failure::OfSource(too_slow(limits)),
        err => Failure::OfFile(err),
    }
}

fn too_slow(limits: &AudioLimits) -> AudioError {
    AudioError::TooSlow {
        max_decode_time: limits.max_decode_time,
    }
}

/// The error of a file that gave not one sample.
fn no_sound(end: End, track: Track) -> AudioError {
    let codec = track.codec();
    match (track.last_failure, end) {
        (Some(Error::Unsupported(what)), _) => AudioError::Unsupported {
            format: format!("{codec} ({what})"),
        },
        (Some(err), _) | (None, End::GivenUp(err)) => AudioError::Malformed {
            source: Box::new(err),
        },
        (None, End::Regular | End::Early) => AudioError::Empty,
    }
}
