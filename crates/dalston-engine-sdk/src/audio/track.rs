//! One audio track of a container: its decoder and its clock.

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track as TrackInfo};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

use super::error::AudioError;
use super::sink::{Sink, check_format};
use super::unread;

/// Seconds by which a packet may come late before audio counts as missing. Containers round time
/// stamps to milliseconds; the shortest packet of a common codec (FLAC at 192 kHz) takes 21 ms.
const CLOCK_TOLERANCE_S: f64 = 0.01;

/// Longest missing audio that is replaced by silence, in seconds. A longer jump is a broken clock and no loss.
const MAX_GAP_S: f64 = 60.0;

/// The track that is read, and how far it has been read.
pub(super) struct Track {
    pub(super) id: u32,
    params: AudioCodecParameters,
    decoder: Box<dyn AudioDecoder>,
    is_mpeg: bool,
    time_base: Option<TimeBase>,
    /// Length in seconds, where the container states it.
    pub(super) stated_s: Option<f64>,
    /// Frames of encoder padding that may still be cut from the end.
    padding_left: u64,
    /// Where the next packet should start, in seconds of the track's clock.
    next_s: Option<f64>,
    /// Packets in a row that gave no sound, up to the current one.
    pub(super) n_bad_in_a_row: u32,
    /// The decoder's error for the last packet that it refused.
    pub(super) last_failure: Option<Error>,
}

impl Track {
    /// Chooses the first audio track that can be decoded.
    pub(super) fn choose(format: &dyn FormatReader) -> Result<Self, AudioError> {
        let container = format.format_info().short_name;
        let mut first_failure = None;
        for info in format.tracks() {
            let Some(CodecParameters::Audio(params)) = &info.codec_params else {
                continue;
            };
            match Self::new(format, info, params) {
                Ok(track) => return Ok(track),
                Err(err) => first_failure = first_failure.or(Some(err)),
            }
        }
        Err(first_failure.unwrap_or_else(|| {
            // The container's reader gives no parameters for a codec that it does not know.
            if format
                .tracks()
                .iter()
                .any(|info| info.codec_params.is_none())
            {
                AudioError::Unsupported {
                    format: format!("this kind of {container}"),
                }
            } else {
                AudioError::NoAudioTrack {
                    container: container.to_owned(),
                }
            }
        }))
    }

    fn new(
        format: &dyn FormatReader,
        info: &TrackInfo,
        params: &AudioCodecParameters,
    ) -> Result<Self, AudioError> {
        let decoder = make_decoder(params)?;
        let is_mpeg = matches!(decoder.codec_info().short_name, "mp1" | "mp2" | "mp3");
        let stated_s = stated_length_s(format, info, params);
        Ok(Self {
            id: info.id,
            params: params.clone(),
            decoder,
            is_mpeg,
            time_base: info.time_base,
            stated_s,
            padding_left: info.padding.unwrap_or(0).into(),
            next_s: None,
            n_bad_in_a_row: 0,
            last_failure: None,
        })
    }

    /// Short name of the codec.
    pub(super) fn codec(&self) -> &'static str {
        self.decoder.codec_info().short_name
    }

    /// Decodes one packet of this track into `sink`.
    ///
    /// A damaged packet is counted and skipped. The time stamp of the next good packet then shows how much
    /// silence replaces the damaged ones.
    pub(super) fn decode(&mut self, mut packet: Packet, sink: &mut Sink) -> Result<(), AudioError> {
        // No more is cut than the padding that the container states: the reader also cuts audio beyond an
        // estimated length, and beyond the first of several joined MP3 files.
        packet.trim_end = packet.trim_end.min(Duration::new(self.padding_left));
        self.padding_left -= packet.trim_end.get();

        let start_s = self.time_base.and_then(|base| base.calc_time(packet.pts));
        let start_s = start_s.map(|time| time.as_secs_f64());
        if let (Some(start_s), Some(next_s)) = (start_s, self.next_s) {
            let tolerance_s = match self.n_bad_in_a_row {
                // An MPEG stream has no clock. Its reader counts frames, and its times are wrong after the
                // rate changes.
                0 if self.is_mpeg => f64::INFINITY,
                0 => CLOCK_TOLERANCE_S,
                _ => 0.0,
            };
            let gap_s = start_s - next_s;
            if gap_s > tolerance_s && gap_s <= MAX_GAP_S {
                sink.push_silence(gap_s)?;
                self.next_s = Some(start_s);
            }
        }

        let mut outcome = self.decoder.decode(&packet).map(drop);
        if self.is_mpeg && matches!(outcome, Err(Error::DecodeError(_))) {
            // The MPEG decoder refuses a change of rate or channels, which joined files have. A new decoder
            // accepts the packet.
            self.decoder = make_decoder(&self.params)?;
            outcome = self.decoder.decode(&packet).map(drop);
        }
        let sound = self.decoder.last_decoded();
        if outcome.is_err() || sound.frames() == 0 {
            sink.n_bad_packets += u64::from(outcome.is_err());
            self.last_failure = outcome.err().or(self.last_failure.take());
            self.n_bad_in_a_row += 1;
            return Ok(());
        }
        let rate = f64::from(sound.spec().rate());
        let n_frames = sound.frames() as u64 + packet.trim_start.get() + packet.trim_end.get();
        // Sound before time zero is the encoder's delay, which some readers report but do not trim.
        let n_early = match start_s {
            Some(start_s) if packet.trim_start.is_zero() => (-start_s * rate).round() as usize,
            _ => 0,
        };
        sink.push(&sound, n_early.min(sound.frames()))?;
        self.next_s = start_s.map(|s| self.next_s.map_or(s, |n| n.max(s)) + n_frames as f64 / rate);
        self.n_bad_in_a_row = 0;
        Ok(())
    }
}

/// Length of a track in seconds, if the file states it; an estimate does not count.
fn stated_length_s(
    format: &dyn FormatReader,
    info: &TrackInfo,
    params: &AudioCodecParameters,
) -> Option<f64> {
    match format.format_info().short_name {
        // A stream without a header: the length is the reader's estimate.
        "aac" => return None,
        // An estimate as well, unless the first frame is a tag, which also states the delay.
        "mp1" | "mp2" | "mp3" if info.delay.is_none() => return None,
        // Some writers include the padding in the length, some do not.
        "caf" => return None,
        _ => {}
    }
    let media = format.media_info();
    match (
        info.num_frames,
        params.sample_rate,
        media.duration,
        media.time_base,
    ) {
        (Some(n_frames), Some(rate), ..) => Some(n_frames as f64 / f64::from(rate)),
        // The container's length is that of the longest track, so it counts only for a single track.
        (None, _, Some(duration), Some(base)) if format.tracks().len() == 1 => {
            Some(base.calc_duration(duration)?.as_secs_f64())
        }
        _ => None,
    }
}

fn make_decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, AudioError> {
    let codecs = symphonia::default::get_codecs();
    let Some(registered) = codecs.get_audio_decoder(params.codec) else {
        return Err(AudioError::Unsupported {
            format: unread::codec(params.codec),
        });
    };
    // Before the decoder allocates its buffers, which are as large as the header states.
    check_format(
        params.sample_rate,
        params.channels.as_ref().map(|channels| channels.count()),
    )?;
    let options = AudioDecoderOptions::default();
    (registered.factory)(params, &options).map_err(|err| match err {
        Error::Unsupported(what) => {
            let codec = registered.codec.info.short_name;
            AudioError::Unsupported {
                format: format!("{codec} ({what})"),
            }
        }
        err => AudioError::Malformed {
            source: Box::new(err),
        },
    })
}
