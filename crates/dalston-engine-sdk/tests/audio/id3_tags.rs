//! ID3v2 tags before the sound, which may be larger than the part of a file that is searched for a format.

use std::io::{Cursor, Read, Seek, SeekFrom};

use dalston_engine_sdk::audio::{self, AudioError, AudioLimits, Waveform};

use crate::hostile::whatever::noise;
use crate::{read, recording_bytes};

/// A header of a tag, or a footer: `size` is in four bytes of seven bits.
fn header(marker: &[u8; 3], version: u8, flags: u8, size: usize) -> Vec<u8> {
    assert!(size < 1 << 28, "a tag has at most 256 MB");
    let size = [21, 14, 7, 0].map(|shift| (size >> shift & 0x7f) as u8);
    [&marker[..], &[version, 0, flags], &size].concat()
}

/// A tag with `flags` around `body`.
fn tag(version: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut tag = header(b"ID3", version, flags, body.len());
    tag.extend(body);
    tag
}

/// A frame of ID3v2.3, whose size is a plain number.
fn frame(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u32).to_be_bytes();
    [&name[..], &size, &[0; 2], content].concat()
}

/// A cover picture of `n_bytes`, like a JPEG file: no byte 0xff in it begins an MPEG frame.
fn cover(n_bytes: usize) -> Vec<u8> {
    let mut picture = noise(n_bytes, 3);
    for idx in 0..n_bytes - 1 {
        if picture[idx] == 0xff {
            picture[idx + 1] = 0;
        }
    }
    frame(b"APIC", &[&b"\0image/jpeg\0\x03\0"[..], &picture].concat())
}

/// Tags of all kinds, and their names.
fn tags() -> Vec<(&'static str, Vec<u8>)> {
    let private = frame(b"PRIV", &[&b"owner\0"[..], &noise(1_100_000, 4)].concat());
    let padding = [frame(b"TIT2", b"\0Title"), vec![0; 1_100_000]].concat();
    // Unsynchronisation is bit 7 of the flags, the footer bit 4.
    let unsynchronised: Vec<u8> = cover(1_100_000)
        .into_iter()
        .flat_map(|byte| match byte {
            0xff => vec![0xff, 0],
            byte => vec![byte],
        })
        .collect();
    let body = frame(b"PRIV", &noise(1_100_000, 5));
    let with_footer = [tag(4, 0x10, &body), header(b"3DI", 4, 0x10, body.len())].concat();
    vec![
        ("small", tag(3, 0, &frame(b"TIT2", b"\0Title"))),
        ("without content", tag(4, 0, &[])),
        ("cover of 1.1 MB", tag(3, 0, &cover(1_100_000))),
        ("cover of 3 MB", tag(3, 0, &cover(3_000_000))),
        ("private data of 1.1 MB", tag(3, 0, &private)),
        ("padding of 1.1 MB", tag(4, 0, &padding)),
        (
            "two tags",
            [tag(3, 0, &cover(700_000)), tag(4, 0, &private)].concat(),
        ),
        ("unsynchronised", tag(3, 0x80, &unsynchronised)),
        ("footer", with_footer.clone()),
        (
            "footer between two tags",
            [&with_footer[..], &tag(3, 0, &cover(9_000))].concat(),
        ),
    ]
}

#[test]
fn tags_before_the_sound_change_no_sample() {
    let names = [
        "lame_tag.mp3",
        "no_tag_32k.mp3",
        "layer2.mp2",
        "aac.aac",
        "flac_16.flac",
        "pcm.wav",
        "aac.m4a",
    ];
    for name in names {
        let bytes = recording_bytes(name);
        let expected = read(&bytes).unwrap();
        for (kind, tag) in tags() {
            let tagged = read(&[tag, bytes.clone()].concat());
            let tagged = tagged.unwrap_or_else(|err| panic!("{name} behind {kind}: {err}"));
            assert!(tagged == expected, "{name} behind {kind} differs");
        }
    }
}

#[test]
fn a_tag_hides_no_format_that_is_named_but_not_read() {
    let file = [tag(3, 0, &cover(9_000)), b"#!AMR\n\x3c".to_vec()].concat();
    let err = read(&file).unwrap_err();
    assert!(
        err.to_string().starts_with("AMR audio is not supported"),
        "{err}"
    );
}

#[test]
fn sound_behind_a_tag_of_a_wrong_length_is_found() {
    let bytes = recording_bytes("no_tag_32k.mp3");
    let expected = read(&bytes).unwrap();
    // Longer than the file; shorter than the tag; with bits that no size has.
    for header in [
        &b"ID3\x04\0\0\x7f\x7f\x7f\x7f"[..],
        b"ID3\x04\0\0\0\0\0\x02",
        b"ID3\x03\0\0\0\0\xff\xff",
    ] {
        let file = [header, &[0; 500], &bytes[..]].concat();
        assert!(read(&file).unwrap() == expected, "{header:?}");
    }
}

#[track_caller]
fn check_cut_off(file: &[u8], expected: &str) {
    let err = read(file).unwrap_err();
    let AudioError::Malformed { source } = &err else {
        panic!("{err:?}")
    };
    assert_eq!(source.to_string(), expected);
}

#[test]
fn a_file_that_ends_within_a_tag_is_damaged_and_says_where() {
    let whole = tag(3, 0, &cover(3_000_000));
    check_cut_off(
        &whole[..2_000_000],
        "its ID3 tag ends at byte 3000034, but the file has 2000000 bytes",
    );
    let two = [&tag(4, 0, &[0; 90])[..], &whole[..1_000]].concat();
    check_cut_off(
        &two,
        "its ID3 tag ends at byte 3000134, but the file has 1100 bytes",
    );
}

#[test]
fn a_tag_and_no_sound_is_an_empty_file() {
    let err = read(&tag(3, 0, &cover(2_000_000))).unwrap_err();
    assert!(matches!(err, AudioError::Empty), "{err:?}");
}

/// A file that counts the bytes that are read from it.
struct Counted {
    file: Cursor<Vec<u8>>,
    n_read: usize,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.n_read += n;
        Ok(n)
    }
}

impl Seek for Counted {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(position)
    }
}

#[test]
fn a_tag_is_skipped_and_never_read() {
    let bytes = recording_bytes("lame_tag.mp3");
    let expected = read(&bytes).unwrap();
    let file = Cursor::new([tag(3, 0, &vec![0; 200_000_000]), bytes.clone()].concat());
    let mut counted = Counted { file, n_read: 0 };
    let waveform: Waveform = audio::read(&mut counted, &AudioLimits::default()).unwrap();
    assert!(waveform == expected);
    let n_read = counted.n_read;
    assert!(
        n_read < 4 * bytes.len() + 100_000,
        "{n_read} bytes are read"
    );
}
