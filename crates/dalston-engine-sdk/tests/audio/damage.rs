//! A damaged file gives the sound that can be read, at the right time, and a warning about the loss.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::thread;
use std::time::Duration;

use dalston_engine_sdk::audio::{self, AudioError, AudioLimits, AudioWarning};

use crate::wave_file::WaveFile;
use crate::{chirp, flac_file, read, recording_bytes};

/// Samples that are all different, as 16-bit integers.
fn ramp(n_samples: usize) -> Vec<i16> {
    (0..n_samples)
        .map(|idx| (idx as i32 - 10_000) as i16)
        .collect()
}

#[test]
fn a_wave_file_from_a_pipe_is_read_to_its_end_without_a_warning() {
    let mut file = WaveFile::pcm_16(16_000, &ramp(20_000));
    let whole = read(&file.bytes()).unwrap();
    file.stated_riff_len = Some(u32::MAX);
    file.stated_data_len = Some(u32::MAX);
    assert_eq!(read(&file.bytes()).unwrap(), whole);
}

#[test]
fn a_recorder_that_crashed_before_it_wrote_the_lengths_loses_nothing() {
    let mut file = WaveFile::pcm_16(16_000, &ramp(20_000));
    let whole = read(&file.bytes()).unwrap();
    for stale_len in [0, 36] {
        file.stated_riff_len = Some(stale_len);
        file.stated_data_len = Some(0);
        assert_eq!(read(&file.bytes()).unwrap(), whole);
    }
}

#[test]
fn a_file_cut_short_gives_what_is_there_and_a_warning() {
    let bytes = WaveFile::pcm_16(16_000, &ramp(32_000)).bytes();
    let whole = read(&bytes).unwrap();
    let half = read(&bytes[..44 + 32_000]).unwrap();
    assert_eq!(half.samples, whole.samples[..16_000]);
    let warning = AudioWarning::Truncated {
        actual_s: 1.0,
        expected_s: Some(2.0),
    };
    assert_eq!(half.warnings, [warning]);
}

#[track_caller]
fn check_cut(name: &str) {
    let bytes = recording_bytes(name);
    let whole = read(&bytes).unwrap();
    let part = read(&bytes[..bytes.len() * 2 / 3]).unwrap();
    let n_samples = part.samples.len();
    assert!(
        n_samples > whole.samples.len() / 3,
        "{name}: {n_samples} samples"
    );
    assert!(
        n_samples < whole.samples.len(),
        "{name}: {n_samples} samples"
    );
    let warnings = part.warnings;
    assert!(
        matches!(warnings[..], [AudioWarning::Truncated { .. }]),
        "{name}: {warnings:?}"
    );
}

#[test]
fn every_format_that_knows_its_end_tells_when_it_is_cut_short() {
    check_cut("flac_16.flac");
    check_cut("flac.oga");
    check_cut("lame_tag.mp3");
    check_cut("pcm.aiff");
    check_cut("aac.m4a");
    check_cut("aac.mka");
}

#[test]
fn a_damaged_packet_becomes_silence_and_what_follows_keeps_its_time() {
    let samples = ramp(5 * flac_file::BLOCK);
    let mut bytes = flac_file::verbatim(&samples);
    let whole = read(&bytes).unwrap();
    assert_eq!(whole.warnings, []);
    // The cut is in the middle of the third of five frames.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let damaged = read(&bytes).unwrap();

    let hole = 2 * flac_file::BLOCK..3 * flac_file::BLOCK;
    assert_eq!(damaged.samples[..hole.start], whole.samples[..hole.start]);
    assert!(damaged.samples[hole.clone()].iter().all(|&x| x == 0.0));
    assert_eq!(damaged.samples[hole.end..], whole.samples[hole.end..]);
    let silence_s = flac_file::BLOCK as f64 / 16_000.0;
    // The FLAC reader drops a frame with a wrong checksum, so there is no packet to count.
    assert_eq!(
        damaged.warnings,
        [AudioWarning::Damaged {
            n_packets: 0,
            silence_s
        }]
    );
}

#[test]
fn sound_on_both_sides_of_garbage_is_kept() {
    let bytes = recording_bytes("no_tag_128k.mp3");
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let garbage = [0x55; 3_000];
    let waveform = read(&[head, &garbage, tail].concat()).unwrap();
    // A packet on each side of the cut may be lost; one takes 26 ms.
    let lost_s = read(&bytes).unwrap().duration_s() - waveform.duration_s();
    assert!((0.0..0.08).contains(&lost_s), "{lost_s} s are lost");
}

#[track_caller]
fn check_joined(first: &str, second: &str) {
    let parts = [recording_bytes(first), recording_bytes(second)];
    let joined = read(&parts.concat()).unwrap();
    let parts_s: f64 = parts
        .iter()
        .map(|bytes| read(bytes).unwrap().duration_s())
        .sum();
    let lost_s = parts_s - joined.duration_s();
    assert!(
        lost_s.abs() < 0.08,
        "{first} + {second}: {lost_s} s are lost"
    );
    let second_half = &joined.samples[joined.samples.len() * 6 / 10..];
    let power = second_half.iter().map(|x| x * x).sum::<f32>() / second_half.len() as f32;
    // The power of a sine of half of full scale is 0.125.
    assert!(
        (0.1..0.15).contains(&power),
        "{first} + {second}: power {power}"
    );
}

#[test]
fn joined_files_are_read_to_the_end_of_the_last() {
    // The bit rates differ, so an estimate from the first file is wrong.
    check_joined("no_tag_128k.mp3", "no_tag_32k.mp3");
    // The tag of the first file states a length.
    check_joined("lame_tag.mp3", "lame_tag.mp3");
    // Rate and channels change.
    check_joined("lame_tag.mp3", "half_rate.mp3");
    check_joined("half_rate.mp3", "lame_tag.mp3");
    check_joined("vorbis.ogg", "flac.oga");
}

#[test]
fn a_file_of_which_nothing_can_be_read_is_malformed() {
    let mut bytes = flac_file::verbatim(&ramp(flac_file::BLOCK));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let err = read(&bytes).unwrap_err();
    assert!(matches!(err, AudioError::Malformed { .. }), "{err:?}");
}

#[test]
fn a_file_without_samples_is_empty() {
    for bytes in [Vec::new(), WaveFile::pcm_16(16_000, &[]).bytes()] {
        let err = read(&bytes).unwrap_err();
        assert!(matches!(err, AudioError::Empty), "{err:?}");
    }
}

/// Two seconds, read with `limits`.
fn read_within(limits: AudioLimits) -> Result<audio::Waveform, AudioError> {
    audio::read(
        Cursor::new(WaveFile::pcm_16(8_000, &ramp(16_000)).bytes()),
        &limits,
    )
}

#[test]
fn limits_are_inclusive() {
    let n_bytes = 44 + 2 * 16_000;
    let limits = AudioLimits {
        max_bytes: n_bytes,
        max_duration_s: 2.0,
        ..Default::default()
    };
    assert_eq!(read_within(limits.clone()).unwrap().duration_s(), 2.0);

    let err = read_within(AudioLimits {
        max_bytes: n_bytes - 1,
        ..limits.clone()
    })
    .unwrap_err();
    let expected = "the audio file has 32044 bytes, expected at most 32043";
    assert_eq!(err.to_string(), expected);

    let err = read_within(AudioLimits {
        max_duration_s: 1.999,
        ..limits
    })
    .unwrap_err();
    assert_eq!(err.to_string(), "the audio is longer than 1.999 s");
}

#[test]
fn decoding_stops_when_its_time_is_over() {
    let limits = AudioLimits {
        max_decode_time: Duration::ZERO,
        ..Default::default()
    };
    let err = read_within(limits).unwrap_err();
    assert!(matches!(err, AudioError::TooSlow { .. }), "{err:?}");
}

/// A machine that stands still is no fault of the file.
#[test]
fn time_in_which_the_processor_did_nothing_for_the_file_does_not_count() {
    let limits = AudioLimits {
        max_decode_time: Duration::from_millis(1500),
        ..Default::default()
    };
    let disk = SlowDisk(
        Cursor::new(WaveFile::pcm_16(8_000, &ramp(16_000)).bytes()),
        Duration::from_secs(2),
    );
    let waveform = audio::read(disk, &limits).expect("the file is whole");
    assert!(waveform.duration_s() > 1.0);
}

/// A file of which nothing can be read for a while.
struct SlowDisk(Cursor<Vec<u8>>, Duration);

impl Read for SlowDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(std::mem::take(&mut self.1));
        self.0.read(buffer)
    }
}

impl Seek for SlowDisk {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

/// A file whose second half cannot be read, as on a broken disk.
struct BrokenDisk(Cursor<Vec<u8>>);

impl Read for BrokenDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = (self.0.get_ref().len() as u64 / 2).saturating_sub(self.0.position());
        match left {
            0 => Err(io::Error::other("the disk is broken")),
            left => (&mut self.0).take(left).read(buffer),
        }
    }
}

impl Seek for BrokenDisk {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn a_source_that_fails_is_no_fault_of_the_file() {
    for name in [
        "pcm.wav",
        "flac_16.flac",
        "vorbis.ogg",
        "lame_tag.mp3",
        "aac.m4a",
        "aac.mka",
    ] {
        let disk = BrokenDisk(Cursor::new(recording_bytes(name)));
        let err = audio::read(disk, &AudioLimits::default()).unwrap_err();
        let AudioError::Io(cause) = err else {
            panic!("{name}: {err:?}")
        };
        assert_eq!(cause.to_string(), "the disk is broken", "{name}");
    }
}

#[test]
fn a_path_that_cannot_be_read_is_no_fault_of_the_file() {
    for path in ["no/such/file.wav", env!("CARGO_MANIFEST_DIR")] {
        let err = audio::load(path, &AudioLimits::default()).unwrap_err();
        assert!(matches!(err, AudioError::Io(_)), "{path}: {err:?}");
    }
}

#[test]
fn a_chirp_found_late_in_time_is_measured_late() {
    // The measure that the tests of formats rest on.
    let late: Vec<f32> = (0..9_000)
        .map(|idx| chirp::at((idx as f64 - 100.0) / 16_000.0) as f32)
        .collect();
    let difference = chirp::compare(&late);
    assert_eq!(difference.delay, 100);
    assert!(difference.error_db < -100.0, "{difference:?}");
}
