//! Writes FLAC files of uncompressed 16-bit mono or of pure silence.
//!
//! Layout and checksums follow RFC 9639.

/// Samples in each frame but the last.
pub(crate) const BLOCK: usize = 4_096;

/// The fields of STREAMINFO that tests set.
#[derive(Clone, Copy)]
pub(crate) struct StreamInfo {
    pub(crate) rate_hz: u32,
    pub(crate) n_channels: u32,
    pub(crate) n_samples: u64,
}

/// A file of 16-bit mono at 16 kHz without compression.
pub(crate) fn verbatim(samples: &[i16]) -> Vec<u8> {
    let info = StreamInfo {
        rate_hz: 16_000,
        n_channels: 1,
        n_samples: samples.len() as u64,
    };
    let mut file = head(info);
    for (idx, block) in samples.chunks(BLOCK).enumerate() {
        // Subframe type 1: the samples as they are.
        let mut subframe = vec![1 << 1];
        subframe.extend(block.iter().flat_map(|x| x.to_be_bytes()));
        file.extend(frame(idx as u64, block.len(), &subframe));
    }
    file
}

/// A file of silence at 16 kHz: `n_frames` frames of 14 bytes.
pub(crate) fn silence(n_frames: u64) -> Vec<u8> {
    let n_samples = n_frames * BLOCK as u64;
    let mut file = head(StreamInfo {
        rate_hz: 16_000,
        n_channels: 1,
        n_samples,
    });
    for idx in 0..n_frames {
        // Subframe type 0: one sample for the whole block.
        file.extend(frame(idx, BLOCK, &[0, 0, 0]));
    }
    file
}

/// The magic and STREAMINFO as the only metadata block.
pub(crate) fn head(info: StreamInfo) -> Vec<u8> {
    let mut file = b"fLaC\x80\x00\x00\x22".to_vec();
    file.extend((BLOCK as u16).to_be_bytes());
    file.extend((BLOCK as u16).to_be_bytes());
    // 0: the frame sizes are not known.
    file.extend([0; 6]);
    let channels = u64::from(info.n_channels.wrapping_sub(1)) & 7;
    let packed = u64::from(info.rate_hz) << 44 | channels << 41 | 15 << 36 | info.n_samples;
    file.extend(packed.to_be_bytes());
    // 0: no MD5.
    file.extend([0; 16]);
    file
}

/// One frame of 16-bit mono whose rate is that of STREAMINFO.
fn frame(idx: u64, n_samples: usize, subframe: &[u8]) -> Vec<u8> {
    // Sync code and fixed block size; block size in 16 bits, rate from STREAMINFO; mono, 16 bits.
    let mut frame = vec![0xff, 0xf8, 0x70, 0x08];
    frame.extend(utf8_like(idx));
    frame.extend((n_samples as u16 - 1).to_be_bytes());
    frame.push(crc(&frame, 8, 0x07) as u8);
    frame.extend(subframe);
    frame.extend(crc(&frame, 16, 0x8005).to_be_bytes());
    frame
}

/// Encodes a frame number as UTF-8 encodes a character.
fn utf8_like(number: u64) -> Vec<u8> {
    let character =
        char::from_u32(number as u32).expect("the tests write fewer than 55 296 frames");
    character.to_string().into_bytes()
}

/// A CRC without reflection, with start value 0.
fn crc(bytes: &[u8], n_bits: u32, polynomial: u16) -> u16 {
    let top = 1 << (n_bits - 1);
    let mask = (top - 1) | top;
    bytes.iter().fold(0_u16, |crc, &byte| {
        let mut crc = crc ^ (u16::from(byte) << (n_bits - 8));
        for _ in 0..8 {
            crc = if crc & top != 0 {
                crc << 1 ^ polynomial
            } else {
                crc << 1
            } & mask;
        }
        crc
    })
}
