//! Reads a file from its first byte to its last packet.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::end::End;
use super::error::{AudioError, AudioWarning};
use super::sink::Sink;
use super::source::{Access, Measured, Source, Watch};
use super::track::Track;
use super::unread;
use super::waveform::{AudioFormat, AudioLimits, Waveform};

/// Reads a whole file; see [`super::read`].
pub(super) fn decode<R>(reader: R, limits: &AudioLimits) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    // The parsers below have arithmetic that a hostile header overflows. A panic is therefore reported as a
    // damaged file. No state outlives this call, so the panic leaves nothing in a broken state.
    let result = panic::catch_unwind(AssertUnwindSafe(|| decode_unguarded(reader, limits)));
    result.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("no message");
        let source = format!("the decoder panicked: {text}").into();
        Err(AudioError::Malformed { source })
    })
}

fn decode_unguarded<R>(mut reader: R, limits: &AudioLimits) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    let watch = Watch::new(limits);
    let measured = Measured::new(&mut reader, unread::HEAD_BYTES, limits, &watch)?;
    if let Some(name) = unread::container(&measured.head) {
        let format = name.to_owned();
        return Err(AudioError::Unsupported { format });
    }
    let source = Source::new(&mut reader, &measured, Access::Seeking, &watch)?;
    let result = match decode_source(source, limits, &watch) {
        // A reader that can seek looks for more headers behind the sound, and refuses a file that is cut
        // off there. A reader that cannot seek reads the same file up to the cut.
        Err(AudioError::Malformed { .. }) => {
            let source = Source::new(&mut reader, &measured, Access::Sequential, &watch)?;
            decode_source(source, limits, &watch)
        }
        result => result,
    };
    match result {
        Err(AudioError::UnknownContainer) => Err(measured.without_format()),
        result => result,
    }
}

fn decode_source<R>(
    source: Source<'_, R>,
    limits: &AudioLimits,
    watch: &Watch,
) -> Result<Waveform, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    let mut format = open(source, watch)?;
    let mut track = Track::choose(&*format)?;
    let mut stated_s = track.stated_s;
    let mut sink = Sink::new(limits);
    let end = loop {
        watch.check_time()?;
        match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track.id => track.decode(packet, &mut sink)?,
            // A packet of another track of the container.
            Ok(Some(_)) => {}
            Ok(None) => break End::Regular,
            // Another stream follows, as in joined Ogg files.
            Err(Error::ResetRequired) => {
                track = Track::choose(&*format)?;
                stated_s = stated_s.zip(track.stated_s).map(|(a, b)| a + b);
            }
            Err(err) => break End::of(watch.blame(err)?),
        }
        if track.n_bad_in_a_row > limits.max_bad_packets {
            break End::GivenUp(Error::LimitError("packets in a row without sound"));
        }
    };

    let first_format = sink.first_format;
    let (samples, mut warnings) = sink.finish()?;
    let Some((sample_rate_hz, n_channels)) = first_format.filter(|_| !samples.is_empty()) else {
        return Err(end.without_sound(&track));
    };
    let container = format.format_info().short_name;
    let is_audio = |track_type| track_type == Some(TrackType::Audio);
    let n_tracks = format
        .tracks()
        .iter()
        .filter(|info| is_audio(info.track_type()))
        .count();
    if n_tracks > 1 {
        warnings.push(AudioWarning::OtherTracks {
            n_tracks: n_tracks - 1,
        });
    }
    let source = AudioFormat {
        container: container.to_owned(),
        codec: track.codec().to_owned(),
        sample_rate_hz,
        n_channels: n_channels as u16,
    };
    let mut waveform = Waveform {
        samples,
        source,
        warnings,
    };
    let actual_s = waveform.duration_s();
    waveform
        .warnings
        .extend(end.warning(container, actual_s, stated_s));
    Ok(waveform)
}

/// Detects the container and reads its headers.
fn open<'w, R>(
    source: Source<'w, R>,
    watch: &Watch,
) -> Result<Box<dyn FormatReader + 'w>, AudioError>
where
    R: Read + Seek + Send + Sync,
{
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    // Titles and pictures are not used, so their sizes are limited.
    let metadata = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(1024))
        .limit_visual_bytes(Limit::Maximum(1024));
    let probe = symphonia::default::get_probe();
    match probe.probe(&Hint::new(), stream, FormatOptions::default(), metadata) {
        Ok(format) => Ok(format),
        Err(err) => Err(match watch.blame(err)? {
            // The probe returns an error of its own only if no reader accepts the file.
            Error::Unsupported(what) if what.starts_with("core (probe)") => {
                AudioError::UnknownContainer
            }
            err => AudioError::Malformed {
                source: Box::new(err),
            },
        }),
    }
}
