//! FLAC and MPEG files, cut, patched and joined with random bytes.

use super::whatever::noise;
use super::{Case, case, cut_and_broken, patch};
use crate::flac_file::{self, StreamInfo};
use crate::recording_bytes;

pub(super) fn cases() -> Vec<Case> {
    [flac(), mpeg()].into_iter().flatten().collect()
}

fn flac() -> Vec<Case> {
    let mut cases = cut_and_broken("FLAC", "flac_16.flac");
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("FLAC, {kind}"), bytes));
    let samples: Vec<i16> = (0..16_384).map(|idx| (idx % 100) as i16 * 30).collect();
    let verbatim = flac_file::verbatim(&samples);
    // The magic bytes, and STREAMINFO with its header.
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
    // 172.8 million samples; the limit of this test is 20 minutes.
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
    add(
        "ID3 tag of 256 MB and no sound",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7fTIT2".to_vec(),
    );
    add(
        "1 000 000 ID3 tags",
        tagged(&b"ID3\x04\0\0\0\0\0\0".repeat(1_000_000)),
    );
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
    // After the name: flags, then the number of frames.
    add(
        "states 2^32 - 1 frames",
        patch(xing.clone(), b"Info", 4, &[0xff; 4]),
    );
    add("states 1 frame", patch(xing, b"Info", 4, &[0, 0, 0, 1]));
    cases
}
