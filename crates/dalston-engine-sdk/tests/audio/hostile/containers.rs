//! Compressed files and their containers, cut, patched and joined with garbage.

use super::whatever::noise;
use super::{Case, case, patch};
use crate::flac_file::{self, StreamInfo};
use crate::recording_bytes;

pub(super) fn cases() -> Vec<Case> {
    let kinds = [
        flac(),
        mpeg(),
        mp4(),
        ogg(),
        matroska(),
        aiff_and_caf(),
        unsupported(),
    ];
    kinds.into_iter().flatten().collect()
}

/// A recording cut at some places, and with garbage in it.
fn cut_and_broken(name: &str, file: &str) -> Vec<Case> {
    let bytes = recording_bytes(file);
    let mut cases: Vec<Case> = [1, 10, 50, 90]
        .map(|percent| {
            let kept = &bytes[..bytes.len() * percent / 100];
            case(format!("{name}, cut after {percent} %"), kept)
        })
        .into();
    let mut broken = bytes.clone();
    // Behind the headers of all recordings.
    let place = bytes.len() * 7 / 10;
    let garbage = noise(400, 9);
    broken[place..place + garbage.len()].copy_from_slice(&garbage);
    cases.push(case(format!("{name}, 400 bytes overwritten"), broken));
    let (head, tail) = bytes.split_at(place);
    let inserted = [head, &noise(5_000, 10), tail].concat();
    cases.push(case(format!("{name}, 5000 bytes inserted"), inserted));
    cases
}

fn flac() -> Vec<Case> {
    let mut cases = cut_and_broken("FLAC", "flac_16.flac");
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("FLAC, {kind}"), bytes));
    let samples: Vec<i16> = (0..16_384).map(|idx| (idx % 100) as i16 * 30).collect();
    let verbatim = flac_file::verbatim(&samples);
    // Magic and STREAMINFO with its header.
    let n_head = 42;
    let with_head = |info: StreamInfo| {
        let mut file = flac_file::head(info);
        file.extend(&verbatim[n_head..]);
        file
    };
    let honest = StreamInfo {
        rate_hz: 16_000,
        n_channels: 1,
        n_samples: 16_384,
    };

    add(
        "no STREAMINFO",
        [b"fLaC\x84\0\0\0", &verbatim[n_head..]].concat(),
    );
    add("STREAMINFO and no frame", verbatim[..n_head].to_vec());
    add("wrong checksum in one frame", {
        let mut file = verbatim.clone();
        file[n_head + 20_000] ^= 1;
        file
    });
    add("wrong checksum in every frame", {
        let mut file = verbatim.clone();
        file.iter_mut()
            .skip(n_head + 1_000)
            .step_by(2_000)
            .for_each(|byte| *byte ^= 1);
        file
    });
    add(
        "states 2^36 - 1 samples",
        with_head(StreamInfo {
            n_samples: (1 << 36) - 1,
            ..honest
        }),
    );
    add(
        "states an unknown length",
        with_head(StreamInfo {
            n_samples: 0,
            ..honest
        }),
    );
    add(
        "states one sample",
        with_head(StreamInfo {
            n_samples: 1,
            ..honest
        }),
    );
    add(
        "states rate 0",
        with_head(StreamInfo {
            rate_hz: 0,
            ..honest
        }),
    );
    add(
        "states rate 1 Hz",
        with_head(StreamInfo {
            rate_hz: 1,
            ..honest
        }),
    );
    add(
        "states 8 channels, has 1",
        with_head(StreamInfo {
            n_channels: 8,
            ..honest
        }),
    );
    add("picture of 16 MB, not there", {
        let mut file = verbatim[..n_head].to_vec();
        file[4] = 0;
        file.extend(b"\x86\xff\xff\xff\0\0\0\x03\xff\xff\xff\xff");
        file
    });
    add("comment of 4 GB, not there", {
        let mut file = verbatim[..n_head].to_vec();
        file[4] = 0;
        file.extend(
            b"\x84\0\0\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        );
        file.extend(&verbatim[n_head..]);
        file
    });
    add("100 000 metadata blocks", {
        let mut file = verbatim[..n_head].to_vec();
        file[4] = 0;
        file.extend([1, 0, 0, 0].repeat(100_000));
        file
    });
    // 172.8 million samples; the table's limit is 20 minutes.
    add("3 hours of silence in 0.6 MB", flac_file::silence(42_187));
    cases
}

fn mpeg() -> Vec<Case> {
    let mut cases = cut_and_broken("MP3", "lame_tag.mp3");
    cases.extend(cut_and_broken("MP3 without tag", "no_tag_32k.mp3"));
    cases.extend(cut_and_broken("AAC stream", "aac.aac"));
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("MP3, {kind}"), bytes));
    let mp3 = recording_bytes("no_tag_32k.mp3");
    let tagged = |head: &[u8]| [head, &mp3].concat();
    add(
        "ID3 tag of 256 MB, not there",
        tagged(b"ID3\x04\0\0\x7f\x7f\x7f\x7f"),
    );
    add(
        "ID3 tag shorter than it is",
        tagged(&[b"ID3\x04\0\0\0\0\0\x05", &noise(500, 11)[..]].concat()),
    );
    add(
        "ID3 frame of 4 GB",
        tagged(b"ID3\x03\0\0\0\0\0\x0aTIT2\xff\xff\xff\xff\0\0"),
    );
    add("100 ID3 tags", tagged(&b"ID3\x04\0\0\0\0\0\0".repeat(100)));
    add(
        "1 MB of zeros before the sound",
        tagged(&vec![0; 1_000_000]),
    );
    add(
        "2 MB of zeros before the sound",
        tagged(&vec![0; 2_000_000]),
    );
    add(
        "2 MB of zeros behind the sound",
        [mp3.clone(), vec![0; 2_000_000]].concat(),
    );
    add(
        "10 000 headers without sound",
        b"\xff\xfb\x90\x64".repeat(10_000),
    );
    let xing = recording_bytes("lame_tag.mp3");
    // Behind the name: flags, then the number of frames.
    add(
        "states 2^32 - 1 frames",
        patch(xing.clone(), b"Info", 4, &[0xff; 4]),
    );
    add("states 1 frame", patch(xing, b"Info", 4, &[0, 0, 0, 1]));
    cases
}

fn mp4() -> Vec<Case> {
    let mut cases = cut_and_broken("M4A", "aac.m4a");
    cases.extend(cut_and_broken("MP4 in fragments", "aac_fragments.mp4"));
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("M4A, {kind}"), bytes));
    let m4a = || recording_bytes("aac.m4a");
    const MANY: &[u8] = &[0xff; 4];
    // Offsets are behind the atom's name: version and flags, then its fields.
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

/// Overwrites the size of an atom, which stands before its name.
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
    // A page that is valid but for its checksum, and again and again.
    let page = [&b"OggS\0\x02"[..], &[0; 20], &[0xff; 256]].concat();
    add("10 000 first pages", page.repeat(10_000));
    // Behind the name: version, channels, rate, bit rates, block sizes.
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
    // Sampling frequency as a float, here NaN and infinity.
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
    // Behind the name: length, channels, frames, bits, and the rate as an 80-bit float.
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
    // Behind the name: length (8), rate (8), format, flags, bytes and frames a packet, channels, bits.
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
