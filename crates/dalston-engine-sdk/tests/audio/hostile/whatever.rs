//! Files that are no audio, or only the first bytes of an audio file.

use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    let text = "It was the best of times, it was the worst of times.\n".repeat(200);
    let page = format!(
        "<!DOCTYPE html><html><body>404 Not Found{}</body></html>",
        " ".repeat(2_000)
    );
    let json = format!(
        "{{\"error\": \"NoSuchKey\", \"ids\": [{}0]}}",
        "12345, ".repeat(500)
    );
    // The first bytes of each kind of file, then random bytes, which look like compressed data.
    let zip = [&b"PK\x03\x04\x14\0\0\0\x08\0"[..], &noise(20_000, 1)].concat();
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &noise(20_000, 2)].concat();
    let program = [&b"\x7fELF\x02\x01\x01\0"[..], &noise(20_000, 3)].concat();
    let pdf = [&b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"[..], &noise(20_000, 4)].concat();
    let mut cases = vec![
        case("empty file", []),
        case("one byte", [0x52]),
        case("64 KiB of zeros", vec![0; 65_536]),
        case("64 KiB of ones", vec![0xff; 65_536]),
        case("3 MB of random bytes", noise(3_000_000, 5)),
        case("plain text", text),
        case("HTML page", page),
        case("JSON answer of a store", json),
        case("ZIP archive", zip),
        case("PNG picture", png),
        case("ELF program", program),
        case("PDF document", pdf),
    ];
    let beginnings: [(&str, &[u8]); 14] = [
        ("RIFF", b"RIFF"),
        ("RIFF with form", b"RIFF\x24\0\0\0WAVE"),
        ("FORM", b"FORM\0\0\0\x2eAIFF"),
        ("caff", b"caff\0\x01\0\0"),
        ("fLaC", b"fLaC"),
        ("OggS", b"OggS"),
        ("ID3", b"ID3\x04\0\0\0\0\0\x0a"),
        ("MPEG sync word", b"\xff\xfb\x90\x64"),
        ("ADTS sync word", b"\xff\xf1\x50\x80"),
        ("ftyp", b"\0\0\0\x14ftypM4A \0\0\0\0mp42"),
        ("moov without ftyp", b"\0\0\0\x08moov"),
        ("EBML", b"\x1a\x45\xdf\xa3"),
        ("APE tag", b"APETAGEX\xd0\x07\0\0\xff\xff\xff\xff"),
        ("TAG", b"TAG"),
    ];
    cases.extend(beginnings.map(|(name, bytes)| case(format!("{name} and no more"), bytes)));
    let unread: [(&str, &[u8]); 7] = [
        ("AVI file", b"RIFF\0\x10\0\0AVI LIST"),
        ("RF64 file", b"RF64\xff\xff\xff\xffWAVEds64"),
        ("AMR file", b"#!AMR\n\x3c"),
        ("AU file", b".snd\0\0\0\x18"),
        ("AC-3 stream", b"\x0b\x77\x12\x34"),
        ("FLV file", b"FLV\x01\x05"),
        ("MPEG transport stream", &{
            let mut packets = [0; 376];
            packets[0] = 0x47;
            packets[188] = 0x47;
            packets
        }),
    ];
    cases.extend(unread.map(|(name, bytes)| case(name, bytes)));
    cases
}

/// Bytes that look random and are the same in every run.
pub(crate) fn noise(n_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // Knuth's MMIX generator; only its upper bits look random.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..n_bytes).map(|_| next()).collect()
}
