//! Separates what Rust compiles from what it skips: comments, literals, test modules.

/// The shipped part of a Rust file, twice: as written, and as code only.
///
/// In both, test modules are blanked with spaces; in the second, comments and the insides of string
/// and character literals as well. Offsets and line numbers stay what they are in `text`.
pub(super) fn shipped(text: &str) -> (String, String) {
    let mut code = text.as_bytes().to_vec();
    for (start, end) in skipped_spans(text.as_bytes()) {
        blank(&mut code, start, end);
    }
    let mut written = text.as_bytes().to_vec();
    for (start, end) in test_spans(&String::from_utf8_lossy(&code)) {
        blank(&mut code, start, end);
        blank(&mut written, start, end);
    }
    let text = |bytes| String::from_utf8(bytes).expect("spans begin and end between characters");
    (text(written), text(code))
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Comments with their marks, and literals without their quotes, as byte ranges.
fn skipped_spans(source: &[u8]) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let (inside, next) = match &source[at..] {
            [b'/', b'/', ..] => until(source, at, line_end(source, at)),
            [b'/', b'*', ..] => until(source, at, block_comment_end(source, at)),
            [b'"', ..] => literal(source, at + 1, b'"'),
            [b'\'', b'\\', ..] => literal(source, at + 1, b'\''),
            [b'\'', rest @ ..] if is_char(rest) => literal(source, at + 1, b'\''),
            [b'r', ..] if starts_raw_string(source, at) => raw_string(source, at),
            _ => ((at, at), at + 1),
        };
        spans.push(inside);
        at = next;
    }
    spans
}

fn until(source: &[u8], start: usize, end: usize) -> ((usize, usize), usize) {
    let end = end.min(source.len());
    ((start, end), end)
}

fn line_end(source: &[u8], start: usize) -> usize {
    let newline = source[start..].iter().position(|&byte| byte == b'\n');
    newline.map_or(source.len(), |length| start + length)
}

/// Rust's block comments nest.
fn block_comment_end(source: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at + 1 < source.len() {
        match &source[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    source.len()
}

/// A literal whose inside begins at `start` and ends at the first unescaped `quote`.
fn literal(source: &[u8], start: usize, quote: u8) -> ((usize, usize), usize) {
    let mut at = start;
    while at < source.len() && source[at] != quote {
        at += if source[at] == b'\\' { 2 } else { 1 };
    }
    let end = at.min(source.len());
    ((start, end), end + 1)
}

/// Whether a quote before `rest` opens a character and not a lifetime: one character, then a quote.
fn is_char(rest: &[u8]) -> bool {
    let longest = rest.len().min(5);
    let quote = rest[..longest]
        .iter()
        .skip(1)
        .position(|&byte| byte == b'\'');
    quote.is_some_and(|bytes_between| {
        let character = &rest[..=bytes_between];
        std::str::from_utf8(character).is_ok_and(|text| text.chars().count() == 1)
    })
}

/// Whether the `r` at `at` begins `r"`, `r#"`, `br"` and so on, and neither a name nor a raw name.
fn starts_raw_string(source: &[u8], at: usize) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut before = source[..at].iter().rev().copied();
    let prefix_ends_a_name = match before.next() {
        Some(b'b' | b'c') => before.next().is_some_and(name),
        Some(byte) => name(byte),
        None => false,
    };
    let after_hashes = source[at + 1..].iter().find(|&&byte| byte != b'#');
    !prefix_ends_a_name && after_hashes == Some(&b'"')
}

fn raw_string(source: &[u8], at: usize) -> ((usize, usize), usize) {
    let n_hashes = source[at + 1..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    let start = at + 1 + n_hashes + 1;
    let mut end_mark = vec![b'"'];
    end_mark.resize(1 + n_hashes, b'#');
    let length = source[start..]
        .windows(end_mark.len())
        .position(|window| window == end_mark);
    let end = length.map_or(source.len(), |length| start + length);
    ((start, end), (end + end_mark.len()).min(source.len()))
}

/// Items under `#[cfg(test)]`, from the attribute to the closing brace or semicolon.
fn test_spans(code: &str) -> Vec<(usize, usize)> {
    let attributes = ["#[cfg(test)]", "#[cfg(all(test"];
    let starts = attributes
        .iter()
        .flat_map(|attribute| code.match_indices(attribute));
    starts
        .map(|(start, attribute)| (start, item_end(code, start + attribute.len())))
        .collect()
}

fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, character) in code[start..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' => {}
            _ => continue,
        }
        if depth == 0 {
            return start + at + 1;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of `text`, with runs of blanks as one.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (_, code) = shipped(text);
        assert_eq!(code.len(), text.len(), "offsets must not move");
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>().join(" "),
            expected
        );
    }

    #[test]
    fn comments_are_no_code() {
        check("a; // b\nc; /* d /* e */ f */ g", "a; c; g");
        check("/// b\n//! c\nd /* open", "d");
    }

    #[test]
    fn the_insides_of_strings_are_no_code() {
        check(r#"f("a \" b", b"c"); d"#, r#"f(" ", b" "); d"#);
        check(
            "r\"a\" + r#\"b \" c\"# + br##\"d\"# e\"##; f",
            "r\" \" + r#\" \"# + br##\" \"##; f",
        );
        check("\"// no comment\" a", "\" \" a");
    }

    #[test]
    fn a_name_that_ends_in_r_opens_no_raw_string() {
        check(r#"var"a" b"#, r#"var" " b"#);
        check("r#type a", "r#type a");
    }

    #[test]
    fn a_quoted_quote_opens_no_string_and_a_lifetime_no_character() {
        check(r#"'"' a '\'' b 'é' c"#, "' ' a ' ' b ' ' c");
        check(
            "fn f<'a>(x: &'a str) { \"b\" }",
            "fn f<'a>(x: &'a str) { \" \" }",
        );
    }

    #[test]
    fn test_modules_are_not_shipped() {
        check(
            "a\n#[cfg(test)]\nmod tests {\n  fn b() { \"}\" }\n}\nc",
            "a c",
        );
        check("#[cfg(test)]\nmod tests;\na", "a");
        check("#[cfg(all(test, unix))]\nfn b() {}\na", "a");
    }

    #[test]
    fn shipped_text_keeps_comments_and_lines() {
        let (written, _) = shipped("a // b\n#[cfg(test)]\nmod t { }\nc \"d\"\n");
        assert_eq!(
            written.lines().map(str::trim_end).collect::<Vec<_>>(),
            ["a // b", "", "", "c \"d\""]
        );
    }
}
