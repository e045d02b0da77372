//! NIST's time-marked conversation format: one word per line.

use std::io::{self, Write};
use std::path::Path;

use segmenter::Segment;

use super::rounding::ms;

/// Prints `FILE 1 START DURATION WORD CONFIDENCE` for every word. An unknown confidence has no column, as the
/// format allows.
pub(super) fn print(out: &mut impl Write, name: &str, segments: &[Segment]) -> io::Result<()> {
    // The format names a waveform without its extension, and separates columns by white space.
    let stem = Path::new(name)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let file = stem.split_whitespace().collect::<Vec<_>>().join("_");
    for word in segments.iter().flat_map(|segment| &segment.words) {
        let (start, end) = (ms(word.start), ms(word.end));
        write!(
            out,
            "{file} 1 {} {} {}",
            seconds(start),
            seconds(end - start),
            word.text
        )?;
        match word.confidence {
            Some(confidence) => writeln!(out, " {confidence:.4}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use rnnt_decode::Word;

    use super::*;

    #[test]
    fn a_word_is_a_line_with_its_duration() {
        let word = |text: &str, confidence| Word {
            text: text.to_owned(),
            start: 0.56,
            end: 0.8,
            confidence,
        };
        let words = vec![word("one", Some(0.5)), word("two", None)];
        let segment = Segment {
            start: 0.56,
            end: 0.8,
            text: "one two".to_owned(),
            words,
        };
        let mut out = Vec::new();
        print(&mut out, "some/my call.flac", &[segment]).expect("a vector takes anything");
        expect![[r#"
            my_call 1 0.560 0.240 one 0.5000
            my_call 1 0.560 0.240 two
        "#]]
        .assert_eq(&String::from_utf8(out).expect("names are UTF-8"));
    }
}
