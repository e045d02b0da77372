//! WAV files with wrong headers.

use super::whatever::noise;
use super::{Case, case, patch};
use crate::wave_file::{WaveFile, chunk};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |kind: &str, bytes: Vec<u8>| cases.push(case(format!("WAV, {kind}"), bytes));

    let whole = second().bytes();
    for n_bytes in [4, 8, 12, 20, 36, 40, 44, 45] {
        add(
            &format!("cut after {n_bytes} bytes"),
            whole[..n_bytes].to_vec(),
        );
    }
    add("cut in the middle", whole[..whole.len() / 2].to_vec());

    let with = |change: &dyn Fn(&mut WaveFile)| {
        let mut file = second();
        change(&mut file);
        file.bytes()
    };
    for n_channels in [0, 9, 27, u16::MAX] {
        add(
            &format!("{n_channels} channels"),
            with(&|file| file.n_channels = n_channels),
        );
    }
    for rate_hz in [0, 1, 7_999, 192_001, u32::MAX] {
        add(
            &format!("rate {rate_hz} Hz"),
            with(&|file| file.rate_hz = rate_hz),
        );
    }
    add("block align 0", with(&|file| file.block_align = 0));
    add(
        "block align 65535",
        with(&|file| file.block_align = u16::MAX),
    );
    for bits in [0, 1, 12, 64, u16::MAX] {
        add(
            &format!("{bits} bits per sample"),
            with(&|file| file.bits_per_sample = bits),
        );
    }
    add(
        "data longer than RIFF",
        with(&|file| file.stated_data_len = Some(1 << 30)),
    );
    add(
        "RIFF and data of 2 GB, not there",
        with(&|file| {
            file.stated_riff_len = Some((2 << 30) + 36);
            file.stated_data_len = Some(2 << 30);
        }),
    );
    add(
        "RIFF and data of unknown length",
        with(&|file| {
            file.stated_riff_len = Some(u32::MAX);
            file.stated_data_len = Some(u32::MAX);
        }),
    );
    add(
        "RIFF length 0",
        with(&|file| file.stated_riff_len = Some(0)),
    );
    add(
        "data length 0, and data",
        with(&|file| file.stated_data_len = Some(0)),
    );
    add("no data", with(&|file| file.data.clear()));
    add("one sample", with(&|file| file.data.truncate(2)));
    add("half a sample", with(&|file| file.data.truncate(1)));
    add("no fmt chunk", patch(second().bytes(), b"WAVE", 0, b"xxxx"));
    add(
        "data before fmt",
        patch(second().bytes(), b"WAVE", 0, b"data"),
    );
    add(
        "fmt chunk twice",
        with(&|file| {
            let fmt = second().bytes()[12..36].to_vec();
            file.other_chunks = fmt;
        }),
    );
    add(
        "a chunk of 4 GB",
        with(&|file| file.other_chunks = b"junk\xff\xff\xff\xff".to_vec()),
    );
    add(
        "10 000 empty chunks",
        with(&|file| {
            file.other_chunks = chunk(b"junk", b"").repeat(10_000);
        }),
    );
    add(
        "INFO list of lists",
        with(&|file| {
            let nested = (0..200).fold(b"INFO".to_vec(), |inner, _| {
                [b"INFO".to_vec(), chunk(b"LIST", &inner)].concat()
            });
            file.other_chunks = chunk(b"LIST", &nested);
        }),
    );
    add(
        "INFO tag of 4 GB",
        with(&|file| {
            file.other_chunks = chunk(b"LIST", b"INFOINAM\xff\xff\xff\xffx");
        }),
    );
    add(
        "ID3 chunk of garbage",
        with(&|file| {
            file.other_chunks = chunk(b"id3 ", &[b"ID3\x04\0\0", &noise(2_000, 7)[..]].concat());
        }),
    );
    add(
        "extensible, unknown sub-format",
        with(&|file| {
            file.format_tag = 0xfffe;
            file.format_extension = [&[22, 0, 16, 0, 4, 0, 0, 0], &noise(16, 8)[..]].concat();
        }),
    );
    for (tag, name) in [
        (0x55, "MP3"),
        (0x31, "GSM"),
        (0x161, "Windows Media"),
        (0x7777, "unknown"),
    ] {
        add(
            &format!("codec tag of {name}"),
            with(&|file| file.format_tag = tag),
        );
    }
    add(
        "ADPCM with blocks of 0 bytes",
        with(&|file| {
            file.format_tag = 2;
            file.bits_per_sample = 4;
            file.block_align = 0;
            file.format_extension = [&[32, 0][..], &[0; 32]].concat();
        }),
    );

    let floats = |x: f32| WaveFile::float_32(16_000, 1, &[x; 16_000]).bytes();
    add("NaN", floats(f32::NAN));
    add("infinity", floats(f32::INFINITY));
    add("floats of 10^38", floats(1e38));
    add("floats of 10^-40", floats(1e-40));
    let doubles = 1e300_f64.to_le_bytes().repeat(16_000);
    add(
        "doubles of 10^300",
        WaveFile::new(3, 64, 48_000, 1, doubles).bytes(),
    );
    add(
        "the slowest rate pair, 191 999 Hz",
        WaveFile::pcm_16(191_999, &[1_000; 200_000]).bytes(),
    );
    cases
}

/// One second of a quiet square wave with a correct header.
fn second() -> WaveFile {
    let samples: Vec<i16> = (0..16_000)
        .map(|idx| if idx % 40 < 20 { 800 } else { -800 })
        .collect();
    WaveFile::pcm_16(16_000, &samples)
}
