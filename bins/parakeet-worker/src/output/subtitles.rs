//! SubRip and WebVTT: one cue per segment.

use std::io::{self, Write};

use segmenter::Segment;

use super::rounding::ms;

/// Prints SubRip cues, numbered from 1.
pub(super) fn print_srt(out: &mut impl Write, segments: &[Segment]) -> io::Result<()> {
    for (number, segment) in (1..).zip(segments) {
        let (start, end) = times(segment, ',');
        writeln!(out, "{number}\n{start} --> {end}\n{}\n", segment.text)?;
    }
    Ok(())
}

/// Prints a WebVTT file.
pub(super) fn print_vtt(out: &mut impl Write, segments: &[Segment]) -> io::Result<()> {
    writeln!(out, "WEBVTT\n")?;
    for segment in segments {
        let (start, end) = times(segment, '.');
        // The three characters that WebVTT cue text escapes; `>` also keeps out "-->".
        let text = segment
            .text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        writeln!(out, "{start} --> {end}\n{text}\n")?;
    }
    Ok(())
}

/// Start and end of a cue. WebVTT requires that the end lies after the start, so a segment without length, a
/// single word on one frame, is shown for a millisecond.
fn times(segment: &Segment, point: char) -> (String, String) {
    let (start, end) = (ms(segment.start), ms(segment.end));
    (clock(start, point), clock(end.max(start + 1), point))
}

/// `HH:MM:SS`, a `point` and milliseconds. The point is a comma in SubRip and a full stop in WebVTT.
fn clock(ms: u64, point: char) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!(
        "{:02}:{:02}:{:02}{point}{ms:03}",
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn segment(text: &str, start: f64, end: f64) -> Segment {
        Segment {
            start,
            end,
            text: text.to_owned(),
            words: Vec::new(),
        }
    }

    #[track_caller]
    fn check(
        print: impl Fn(&mut Vec<u8>, &[Segment]) -> io::Result<()>,
        segments: &[Segment],
        expect: &Expect,
    ) {
        let mut out = Vec::new();
        print(&mut out, segments).expect("a vector takes anything");
        expect.assert_eq(&String::from_utf8(out).expect("subtitles are UTF-8"));
    }

    #[test]
    fn srt_numbers_cues_and_writes_milliseconds_after_a_comma() {
        let segments = [
            segment("one & two", 0.08, 1.2),
            segment("three", 3661.5, 7199.9996),
        ];
        check(
            print_srt,
            &segments,
            &expect![[r#"
            1
            00:00:00,080 --> 00:00:01,200
            one & two

            2
            01:01:01,500 --> 02:00:00,000
            three

        "#]],
        );
    }

    #[test]
    fn vtt_escapes_its_markup() {
        check(
            print_vtt,
            &[segment("a<b & c-->d", 0.0, 0.5)],
            &expect![[r#"
            WEBVTT

            00:00:00.000 --> 00:00:00.500
            a&lt;b &amp; c--&gt;d

        "#]],
        );
    }

    #[test]
    fn a_cue_without_length_is_shown_for_a_millisecond() {
        check(
            print_srt,
            &[segment("a", 1.0, 1.0)],
            &expect![[r#"
            1
            00:00:01,000 --> 00:00:01,001
            a

        "#]],
        );
    }

    #[test]
    fn silence_is_a_vtt_header_and_no_srt_at_all() {
        check(
            print_vtt,
            &[],
            &expect![[r#"
            WEBVTT

        "#]],
        );
        check(print_srt, &[], &expect![""]);
    }
}
