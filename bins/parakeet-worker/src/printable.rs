//! Makes names that come from outside safe to show on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every character escaped that could steer a terminal or turn the direction of its text.
///
/// A file's name may contain such characters: ESC starts sequences that change colours, titles and earlier
/// lines, and a line break starts what looks like another message.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.extend(c.escape_default()),
            c if steers(c) => {
                write!(safe, "\\u{{{:x}}}", u32::from(c)).expect("a string takes anything")
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

fn steers(c: char) -> bool {
    // The second half: the marks, embeddings, overrides and isolates of bidirectional text (UAX #9), and the
    // separators of lines and paragraphs.
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_as_it_is_unless_it_steers_the_terminal() {
        assert_eq!(printable("Bücher/日本 🎧.wav"), "Bücher/日本 🎧.wav");
        assert_eq!(printable("a\x1b[2Jb.wav"), "a\\u{1b}[2Jb.wav");
        assert_eq!(printable("a\nerror: b"), "a\\nerror: b");
        assert_eq!(printable("a\u{9b}31m"), "a\\u{9b}31m");
        assert_eq!(printable("a\u{202e}vaw.b"), "a\\u{202e}vaw.b");
    }
}
