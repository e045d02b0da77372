//! MP4, Ogg, Matroska, AIFF and CAF files, cut, patched and joined with random bytes.

use super::whatever::noise;
use super::{Case, case, cut_and_broken, patch};
use crate::recording_bytes;

pub(super) fn cases() -> Vec<Case> {
    let kinds = [mp4(), ogg(), matroska(), aiff_and_caf(), unsupported()];
    kinds.into_iter().flatten().collect()
}

fn mp4() -> Vec<Case> {
    let mut cases = cut_and_broken("M4A", "aac.m4a");
    cases.extend(cut_and_broken("MP4 in fragments", "aac_fragments.mp4"));
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("M4A, {kind}"), bytes));
    let m4a = || recording_bytes("aac.m4a");
    const MANY: &[u8] = &[0xff; 4];
    // Offsets count from the end of the atom's name: version and flags, then the fields.
    add(
        "states 2^32 - 1 sample sizes",
        patch(m4a(), b"stsz", 8, MANY),
    );
    add("every sample of 4 GB", patch(m4a(), b"stsz", 4, MANY));
    add(
        "every sample of 2 GB",
        patch(m4a(), b"stsz", 4, &[0x7f, 0xff, 0xff, 0xff]),
    );
    add(
        "states 2^32 - 1 chunk offsets",
        patch(m4a(), b"stco", 4, MANY),
    );
    add("chunks beyond the file", patch(m4a(), b"stco", 8, MANY));
    add("states 2^32 - 1 durations", patch(m4a(), b"stts", 4, MANY));
    add(
        "one duration for 2^32 - 1 samples",
        patch(m4a(), b"stts", 8, MANY),
    );
    add("states 2^32 - 1 chunk runs", patch(m4a(), b"stsc", 4, MANY));
    add("0 samples in a chunk", patch(m4a(), b"stsc", 12, &[0; 4]));
    add("time scale 0", patch(m4a(), b"mdhd", 12, &[0; 4]));
    add("time scale 2^32 - 1", patch(m4a(), b"mdhd", 12, MANY));
    add("no sample description", patch(m4a(), b"stsd", 4, &[0; 4]));
    add(
        "2^32 - 1 sample descriptions",
        patch(m4a(), b"stsd", 4, MANY),
    );
    add(
        "codec that nobody knows",
        patch(m4a(), b"stsd", 12, b"zzzz"),
    );
    // Channels and rate of the sample description.
    add("65 535 channels", patch(m4a(), b"mp4a", 16, &[0xff; 2]));
    add("rate 0 Hz", patch(m4a(), b"mp4a", 24, &[0; 4]));
    add(
        "decoder description of garbage",
        patch(m4a(), b"esds", 4, &noise(20, 12)),
    );
    add("moov of size 0", patch_before(m4a(), b"moov", &[0; 4]));
    add(
        "moov of size 1",
        patch_before(m4a(), b"moov", &[0, 0, 0, 1]),
    );
    add("moov of 4 GB", patch_before(m4a(), b"moov", MANY));
    add(
        "ftyp of size 7",
        patch_before(m4a(), b"ftyp", &[0, 0, 0, 7]),
    );
    add("a million atoms within each other", {
        let n_atoms = 1_000_000;
        let atom = |idx: u32| [&(8 * (n_atoms - idx)).to_be_bytes()[..], b"moov"].concat();
        let mut file = b"\0\0\0\x10ftypM4A \0\0\0\0".to_vec();
        file.extend((0..n_atoms).flat_map(atom));
        file
    });
    add(
        "100 000 empty atoms",
        [m4a(), b"\0\0\0\x08free".repeat(100_000)].concat(),
    );
    let fragments = || recording_bytes("aac_fragments.mp4");
    add(
        "fragment of 2^32 - 1 samples",
        patch(fragments(), b"trun", 4, MANY),
    );
    add(
        "fragment before the file",
        patch(fragments(), b"trun", 8, &[0x80, 0, 0, 0]),
    );
    cases.push(case(
        "MP4, video without sound",
        recording_bytes("video_only.mp4"),
    ));
    cases
}

/// Overwrites the size of an atom, which precedes the atom's name.
#[track_caller]
fn patch_before(mut bytes: Vec<u8>, name: &[u8], size: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(4)
        .position(|window| window == name)
        .expect("the recording has the atom");
    bytes[at - 4..at].copy_from_slice(size);
    bytes
}

fn ogg() -> Vec<Case> {
    let mut cases = cut_and_broken("Ogg Vorbis", "vorbis.ogg");
    cases.extend(cut_and_broken("Ogg FLAC", "flac.oga"));
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("Ogg, {kind}"), bytes));
    let ogg = || recording_bytes("vorbis.ogg");
    add(
        "wrong checksum in the first page",
        patch(ogg(), b"OggS", 18, &[1, 2, 3, 4]),
    );
    add(
        "first page without segments",
        patch(ogg(), b"OggS", 22, &[0]),
    );
    // A page that is valid apart from its checksum, repeated.
    let page = [&b"OggS\0\x02"[..], &[0; 20], &[0xff; 256]].concat();
    add("10 000 first pages", page.repeat(10_000));
    // After the name: version, channels, rate, bit rates, block sizes.
    add(
        "Vorbis of 255 channels",
        patch(ogg(), b"\x01vorbis", 4, &[0xff]),
    );
    add(
        "Vorbis of rate 0 Hz",
        patch(ogg(), b"\x01vorbis", 5, &[0; 4]),
    );
    add(
        "Vorbis with block sizes of 1",
        patch(ogg(), b"\x01vorbis", 21, &[0]),
    );
    add(
        "Vorbis code books of garbage",
        patch(ogg(), b"\x05vorbis", 0, &noise(500, 13)),
    );
    cases
}

fn matroska() -> Vec<Case> {
    let mut cases = cut_and_broken("WebM", "vorbis.webm");
    cases.extend(cut_and_broken("MKA", "aac.mka"));
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("MKA, {kind}"), bytes));
    let mka = || recording_bytes("aac.mka");
    // A length of eight bytes, all ones but the last bit: 2^56 - 2 bytes.
    const HUGE: &[u8] = b"\x01\xff\xff\xff\xff\xff\xff\xfe";
    add(
        "segment of 2^56 bytes",
        patch(mka(), b"\x18\x53\x80\x67", 0, HUGE),
    );
    add(
        "cluster of 2^56 bytes",
        patch(mka(), b"\x1f\x43\xb6\x75", 0, HUGE),
    );
    add("10 000 segments within each other", {
        let head = mka()[..mka()
            .windows(4)
            .position(|w| w == b"\x18\x53\x80\x67")
            .unwrap()]
            .to_vec();
        [
            head,
            [&b"\x18\x53\x80\x67"[..], HUGE].concat().repeat(10_000),
        ]
        .concat()
    });
    // The sampling frequency is a float: here NaN and infinity.
    add(
        "rate NaN",
        patch(mka(), b"\xb5\x88", 0, &f64::NAN.to_be_bytes()),
    );
    add(
        "rate infinite",
        patch(mka(), b"\xb5\x88", 0, &f64::INFINITY.to_be_bytes()),
    );
    cases
}

fn aiff_and_caf() -> Vec<Case> {
    let mut cases = cut_and_broken("AIFF", "pcm.aiff");
    cases.extend(cut_and_broken("CAF", "alac.caf"));
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(kind.to_owned(), bytes));
    let aiff = || recording_bytes("pcm.aiff");
    // After the name: length, channels, frames, bits, and the rate as an 80-bit float.
    add("AIFF, 0 channels", patch(aiff(), b"COMM", 4, &[0; 2]));
    add(
        "AIFF, 65 535 channels",
        patch(aiff(), b"COMM", 4, &[0xff; 2]),
    );
    add(
        "AIFF, 2^32 - 1 frames",
        patch(aiff(), b"COMM", 6, &[0xff; 4]),
    );
    add("AIFF, 0 bits", patch(aiff(), b"COMM", 10, &[0; 2]));
    add(
        "AIFF, rate infinite",
        patch(aiff(), b"COMM", 12, b"\x7f\xff\x80\0\0\0\0\0\0\0"),
    );
    add("AIFF, rate NaN", patch(aiff(), b"COMM", 12, &[0xff; 10]));
    add("AIFF, sound of 4 GB", patch(aiff(), b"SSND", 0, &[0xff; 4]));
    let caf = || recording_bytes("pcm.caf");
    // After the name: length (8), rate (8), format, flags, bytes and frames a packet, channels, bits.
    add(
        "CAF, rate NaN",
        patch(caf(), b"desc", 8, &f64::NAN.to_be_bytes()),
    );
    add(
        "CAF, rate -1 Hz",
        patch(caf(), b"desc", 8, &(-1_f64).to_be_bytes()),
    );
    add(
        "CAF, codec that nobody knows",
        patch(caf(), b"desc", 16, b"zzzz"),
    );
    add(
        "CAF, packets of 0 bytes",
        patch(caf(), b"desc", 24, &[0; 4]),
    );
    add(
        "CAF, packets of 0 frames",
        patch(caf(), b"desc", 28, &[0; 4]),
    );
    add("CAF, 0 channels", patch(caf(), b"desc", 32, &[0; 4]));
    add(
        "CAF, 2^32 - 1 channels",
        patch(caf(), b"desc", 32, &[0xff; 4]),
    );
    add(
        "CAF, data of unknown length",
        patch(caf(), b"data", 0, &[0xff; 8]),
    );
    add(
        "CAF, data of 2^63 - 1 bytes",
        patch(caf(), b"data", 0, &i64::MAX.to_be_bytes()),
    );
    add("CAF, packet table of 2^62 packets", {
        patch(
            recording_bytes("alac.caf"),
            b"pakt",
            8,
            &(1_i64 << 62).to_be_bytes(),
        )
    });
    cases
}

fn unsupported() -> Vec<Case> {
    let files = [
        ("Opus in Ogg", "opus.opus"),
        ("Opus in WebM", "opus.webm"),
        ("Opus in MP4", "opus.mp4"),
        ("AC-3 in Matroska", "ac3.mka"),
        ("E-AC-3 in MP4", "eac3.mp4"),
        ("Speex in Ogg", "speex.spx"),
        ("Windows Media", "wmav2.wma"),
        ("AAC in 5.1", "surround.m4a"),
    ];
    files
        .map(|(kind, file)| case(kind, recording_bytes(file)))
        .into()
}
