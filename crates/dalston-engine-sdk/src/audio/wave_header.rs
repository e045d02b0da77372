//! Finds wrong lengths in a WAV header.
//!
//! A recorder writes the lengths when it stops. Before that, and for ever if it crashed, they are 0 or stale.
//! A reader that trusts such a length finds no sound, although an hour of speech may follow.

/// The value for an unknown length in a WAV header.
pub(super) const UNKNOWN: [u8; 4] = [0xff; 4];

/// Returns the offsets of the lengths that must be read as [`UNKNOWN`].
///
/// `head` is the start of a file of `n_bytes`. A file that is not WAV has no such lengths.
pub(super) fn unbelievable_lengths(head: &[u8], n_bytes: u64) -> [Option<u64>; 2] {
    if !head.starts_with(b"RIFF") || head.get(8..12) != Some(b"WAVE") {
        return [None; 2];
    }
    let mut chunk = 12;
    let data_length = loop {
        let Some(&[a, b, c, d, ref length @ ..]) = head.get(chunk..chunk + 8) else {
            break None;
        };
        let length = u32::from_le_bytes(length.try_into().expect("eight bytes less four"));
        if [a, b, c, d] == *b"data" {
            let has_data = (chunk as u64 + 8) < n_bytes;
            break (length == 0 && has_data).then_some(chunk as u64 + 4);
        }
        // Chunks begin at even offsets.
        chunk += 8 + (length as usize).next_multiple_of(2);
    };
    // The length of the whole file, at offset 4, adds nothing to the length of the data: it is always
    // read as unknown.
    [Some(4), data_length]
}
