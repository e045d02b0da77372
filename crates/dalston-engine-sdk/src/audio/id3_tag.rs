//! Measures the ID3v2 tags at the start of a file.
//!
//! The decoder searches only the first megabyte for a format that it knows, and the cover picture in a tag may be
//! larger. No content of a tag is used here, so tags are skipped by the length that they state. They are never
//! read into memory.

/// Bytes of a tag's header, and of its footer (ID3v2.4, sections 3.1 and 3.4).
pub(super) const HEADER_BYTES: u64 = 10;

/// Length of the tag that begins with `header`, header included; `None` if no tag begins there. `header` is the
/// [`HEADER_BYTES`] at `offset` in the file, or fewer at its end.
///
/// A footer counts as a tag of its own. It follows a tag, so it is none at the start of a file.
pub(super) fn length(header: &[u8], offset: u64) -> Option<u64> {
    let (marker, rest) = header.split_first_chunk::<3>()?;
    let &[major, minor, _flags, ref size @ ..] = rest.first_chunk::<7>()?;
    // The specification excludes these values, so that a header never looks like an MPEG frame.
    let is_valid = major != 0xff && minor != 0xff && size.iter().all(|&byte| byte < 0x80);
    match marker {
        b"ID3" if is_valid => {
            let size = size
                .iter()
                .fold(0, |size, &byte| size << 7 | u64::from(byte));
            Some(HEADER_BYTES + size)
        }
        // The footer repeats the header; the size in it is that of the tag before it.
        b"3DI" if is_valid && offset > 0 => Some(HEADER_BYTES),
        _ => None,
    }
}
