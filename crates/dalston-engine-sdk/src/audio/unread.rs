//! Names the formats that are recognised but not read, so that an error can name the file's format.
//!
//! Containers are checked before the decoder reads the file. The decoder searches the first megabyte for any
//! format that it knows, and would find stray MP3 frames in an AVI file.

use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::*;

/// Number of bytes from the start of a file that [`container`] checks.
pub(super) const HEAD_BYTES: u64 = 4096;

/// Names the container if it is one that is recognised but not read.
///
/// `head` is the first [`HEAD_BYTES`] of the file, or the whole of a shorter file.
pub(super) fn container(head: &[u8]) -> Option<&'static str> {
    // Signatures from each format's specification; if none is public, from files of the format.
    const SIGNATURES: &[(usize, &[u8], &str)] = &[
        (
            0,
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
            "Windows Media (ASF)",
        ),
        (0, b"RF64", "RF64"),
        (0, b"BW64", "BW64"),
        (0, b"riff\x2e\x91\xcf\x11", "Wave64"),
        (8, b"AVI ", "AVI"),
        (0, b"FLV\x01", "Flash video"),
        (0, b"\x00\x00\x01\xba", "MPEG program stream"),
        (0, b".RMF", "RealMedia"),
        (0, b".ra\xfd", "RealAudio"),
        (0, b"#!AMR", "AMR"),
        (0, b".snd", "AU"),
        (0, b"\x0b\x77", "AC-3"),
        (0, b"\x7f\xfe\x80\x01", "DTS"),
        (0, b"wvpk", "WavPack"),
        (0, b"MAC ", "Monkey's Audio"),
        (0, b"TTA1", "TTA"),
        (0, b"MPCK", "Musepack"),
        (0, b"MP+", "Musepack"),
        (0, b"DSD ", "DSD"),
        (0, b"FRM8", "DSD"),
        (0, b"MThd", "MIDI"),
        (28, b"Speex   ", "Speex"),
        (28, b"\x80theora", "Theora video"),
    ];
    let starts_with =
        |at: usize, bytes: &[u8]| head.get(at..).is_some_and(|h| h.starts_with(bytes));
    let signature = SIGNATURES
        .iter()
        .find(|(at, bytes, _)| starts_with(*at, bytes));
    // A transport stream has no signature, only a sync byte every 188 bytes.
    let is_transport_stream = head.first() == Some(&0x47) && head.get(188) == Some(&0x47);
    match signature {
        Some((_, _, name)) => Some(name),
        None if is_transport_stream => Some("MPEG transport stream"),
        None if starts_with(0, b"RIFF") && starts_with(8, b"WAVEfmt ") => {
            let tag = head.get(20..22)?;
            wave_codec(u16::from_le_bytes([tag[0], tag[1]]))
        }
        None => None,
    }
}

/// Names the codec of a WAV file by its format tag (RFC 2361), if the codec is not read.
fn wave_codec(tag: u16) -> Option<&'static str> {
    Some(match tag {
        0x0010 => "OKI ADPCM",
        0x0014 | 0x0042 => "G.723",
        0x0022 => "TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0040 | 0x0045 | 0x0064 => "G.726",
        0x0050 => "MP2 in WAV",
        0x0055 => "MP3 in WAV",
        0x0065 => "G.722",
        0x0083 => "G.729",
        0x00ff => "AAC in WAV",
        0x0160..=0x0163 => "Windows Media",
        0x0270 => "ATRAC3",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0xa109 => "Speex",
        _ => return None,
    })
}

/// Names a codec that the decoder recognises but does not read; else gives the codec's code.
pub(super) fn codec(id: AudioCodecId) -> String {
    let name = match id {
        CODEC_ID_OPUS => "Opus",
        CODEC_ID_SPEEX => "Speex",
        CODEC_ID_MUSEPACK => "Musepack",
        CODEC_ID_AC3 => "AC-3",
        CODEC_ID_EAC3 => "E-AC-3",
        CODEC_ID_AC4 => "AC-4",
        CODEC_ID_DCA => "DTS",
        CODEC_ID_TRUEHD => "TrueHD",
        CODEC_ID_ATRAC1 | CODEC_ID_ATRAC3 | CODEC_ID_ATRAC3PLUS | CODEC_ID_ATRAC9 => "ATRAC",
        CODEC_ID_WMA => "Windows Media",
        CODEC_ID_RA10 | CODEC_ID_RA20 | CODEC_ID_SIPR | CODEC_ID_COOK | CODEC_ID_RALF => {
            "RealAudio"
        }
        CODEC_ID_WAVPACK => "WavPack",
        CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio",
        CODEC_ID_TTA => "TTA",
        _ => return format!("codec {id}"),
    };
    name.to_owned()
}
