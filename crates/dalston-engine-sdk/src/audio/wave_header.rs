//! Lengths in a WAV header that are not to be believed.
//!
//! A recorder writes them when it stops. Until then, and for ever if it crashed, they are 0 or stale,
//! and a reader that believes them finds an empty file before an hour of speech.

/// What stands for "unknown" in a WAV header.
pub(super) const UNKNOWN: [u8; 4] = [0xff; 4];

/// Returns where in the file the lengths stand that should be read as [`UNKNOWN`].
///
/// `head` is the start of a file of `n_bytes`; other files than WAV have none.
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
    // The length of the whole says nothing that the length of the data does not.
    [Some(4), data_length]
}
