//! Every container and codec gives the same sound at the same time.

use dalston_engine_sdk::audio::{self, AudioError, AudioLimits, AudioWarning};

use crate::{chirp, read, recording, recording_bytes};

/// Largest difference without a lossy codec: the resampler's and that of 16-bit samples.
const LOSSLESS_DB: f64 = -70.0;
/// Largest difference of AAC, MP3 and Vorbis at the bit rates of these files.
const LOSSY_DB: f64 = -20.0;

/// `delay` in samples at 16 kHz.
#[track_caller]
fn check(name: &str, format: &str, delay: usize, max_error_db: f64) {
    let waveform = audio::load(recording(name), &AudioLimits::default())
        .unwrap_or_else(|err| panic!("{name}: {err}"));
    assert_eq!(waveform.source.to_string(), format, "{name}");
    assert_eq!(waveform.warnings, [], "{name}");
    let difference = chirp::compare(&waveform.samples);
    assert_eq!(difference.delay, delay, "{name}: {difference:?}");
    assert!(difference.error_db < max_error_db, "{name}: {difference:?}");
    // Nothing is missing, and no more than a packet of padding is added.
    let n_samples = waveform.samples.len();
    let expected = chirp::N_SAMPLES..chirp::N_SAMPLES + delay + 1_000;
    assert!(expected.contains(&n_samples), "{name}: {n_samples} samples");
}

#[test]
fn lossless_formats_give_the_chirp_without_delay() {
    check(
        "pcm.wav",
        "pcm_s16le in wave, 16000 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "pcm.flac",
        "flac in flac, 16000 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "flac_16.flac",
        "flac in flac, 44100 Hz, channels: 2",
        0,
        LOSSLESS_DB,
    );
    check(
        "flac_24.flac",
        "flac in flac, 96000 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "flac.oga",
        "flac in ogg, 44100 Hz, channels: 2",
        0,
        LOSSLESS_DB,
    );
    check(
        "alac.m4a",
        "alac in isomp4, 44100 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "alac.caf",
        "alac in caf, 44100 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "pcm.caf",
        "pcm_s16le in caf, 22050 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "pcm.aiff",
        "pcm_s16be in aiff, 22050 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
    check(
        "pcm.mov",
        "pcm_s16le in isomp4, 22050 Hz, channels: 1",
        0,
        LOSSLESS_DB,
    );
}

#[test]
fn lossy_formats_that_state_their_delay_give_the_chirp_without_delay() {
    check(
        "vorbis.ogg",
        "vorbis in ogg, 44100 Hz, channels: 2",
        0,
        LOSSY_DB,
    );
    check(
        "vorbis.webm",
        "vorbis in matroska, 44100 Hz, channels: 1",
        0,
        LOSSY_DB,
    );
    check(
        "lame_tag.mp3",
        "mp3 in mp3, 44100 Hz, channels: 2",
        0,
        LOSSY_DB,
    );
    check(
        "half_rate.mp3",
        "mp3 in mp3, 22050 Hz, channels: 1",
        0,
        LOSSY_DB,
    );
    check(
        "adpcm_ms.wav",
        "adpcm_ms in wave, 22050 Hz, channels: 1",
        0,
        LOSSY_DB,
    );
    check(
        "adpcm_ima.wav",
        "adpcm_ima_wav in wave, 22050 Hz, channels: 1",
        0,
        LOSSY_DB,
    );
}

#[test]
fn formats_whose_delay_is_not_read_give_the_chirp_one_packet_late() {
    // One packet of AAC is 1024 frames; MP4 states it in an edit list, which the reader ignores.
    check(
        "aac.m4a",
        "aac in isomp4, 32000 Hz, channels: 2",
        512,
        LOSSY_DB,
    );
    check(
        "aac_fragments.mp4",
        "aac in isomp4, 32000 Hz, channels: 1",
        512,
        LOSSY_DB,
    );
    check(
        "aac.mka",
        "aac in matroska, 32000 Hz, channels: 1",
        512,
        LOSSY_DB,
    );
    check(
        "aac.aac",
        "aac in aac, 32000 Hz, channels: 1",
        512,
        LOSSY_DB,
    );
    // The delay of the filter bank of encoder and decoder; layer 2 has no place to state it.
    check(
        "layer2.mp2",
        "mp2 in mp2, 16000 Hz, channels: 1",
        481,
        LOSSY_DB,
    );
}

#[test]
fn the_first_audio_track_of_a_video_is_read() {
    check(
        "video.mp4",
        "aac in isomp4, 32000 Hz, channels: 1",
        512,
        LOSSY_DB,
    );
}

#[test]
fn of_two_audio_tracks_the_first_is_read_with_a_warning() {
    let waveform = read(&recording_bytes("two_tracks.mka")).unwrap();
    assert_eq!(waveform.source.sample_rate_hz, 16_000);
    assert_eq!(
        waveform.warnings,
        [AudioWarning::OtherTracks { n_tracks: 1 }]
    );
}

#[test]
fn the_name_of_a_file_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chirp.txt");
    std::fs::copy(recording("lame_tag.mp3"), &path).unwrap();
    let waveform = audio::load(&path, &AudioLimits::default()).unwrap();
    assert_eq!(waveform.source.codec, "mp3");
}

#[test]
fn flac_gives_the_samples_that_went_in() {
    let wave = read(&recording_bytes("pcm.wav")).unwrap();
    let flac = read(&recording_bytes("pcm.flac")).unwrap();
    assert_eq!(wave.samples, flac.samples);
}

#[track_caller]
fn check_unsupported(name: &str, format: &str) {
    let err = read(&recording_bytes(name)).unwrap_err();
    let AudioError::Unsupported { format: actual } = &err else {
        panic!("{name}: {err:?}")
    };
    assert_eq!(actual, format, "{name}");
    assert!(err.to_string().contains("ffmpeg -i"), "{err}");
}

#[test]
fn a_format_that_is_not_read_is_named_with_the_line_that_converts_it() {
    check_unsupported("opus.opus", "Opus");
    check_unsupported("opus.webm", "Opus");
    check_unsupported("opus.mp4", "Opus");
    check_unsupported("ac3.mka", "AC-3");
    check_unsupported("eac3.mp4", "E-AC-3");
    check_unsupported("speex.spx", "Speex");
    check_unsupported("wmav2.wma", "Windows Media (ASF)");
    check_unsupported("surround.m4a", "aac (aac: aac too complex)");
}

#[test]
fn a_video_without_sound_has_no_audio_track() {
    let err = read(&recording_bytes("video_only.mp4")).unwrap_err();
    assert_eq!(err.to_string(), "the isomp4 file has no audio track");
}
