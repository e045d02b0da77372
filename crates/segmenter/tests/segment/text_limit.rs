//! How much text a segment may have.

use expect_test::expect;
use segmenter::{SegmentRules, TextLimit};

use crate::rules::check_by;

#[test]
fn text_beyond_the_limit_is_cut_at_the_widest_gap_and_never_inside_a_word() {
    let rules = SegmentRules {
        max_text: Some(TextLimit::of_chars(12)),
        ..SegmentRules::default()
    };
    check_by(
        &rules,
        "good 0.0-0.4 | morning 0.5-0.9 | to 1.2-1.3 | everybody 1.4-1.9",
        expect![[r#"
        0.00-0.90 good morning
        1.20-1.90 to everybody
    "#]],
    );
    check_by(
        &rules,
        "extraordinarily 0.0-1.0 | so 1.1-1.2",
        expect![[r#"
        0.00-1.00 extraordinarily
        1.10-1.20 so
    "#]],
    );
}

#[test]
fn characters_are_counted_and_not_bytes() {
    let rules = SegmentRules {
        max_text: Some(TextLimit::of_chars(9)),
        ..SegmentRules::default()
    };
    check_by(
        &rules,
        "čtyři 0.0-0.4 | žáb 0.5-0.8",
        expect![[r#"
        0.00-0.80 čtyři žáb
    "#]],
    );
}

#[test]
fn text_that_does_not_wrap_into_the_lines_is_cut_although_its_characters_are_few() {
    let rules = SegmentRules {
        max_text: Some(TextLimit {
            max_chars: 24,
            max_lines: 2,
            max_line_chars: 12,
        }),
        ..SegmentRules::default()
    };
    // 23 characters in three lines: "aaaaaa", "bbbbbbbbb cc", "ddd".
    check_by(
        &rules,
        "aaaaaa 0.0-0.4 | bbbbbbbbb 0.5-0.8 | cc 0.8-1.0 | ddd 1.0-1.1",
        expect![[r#"
        0.00-0.40 aaaaaa
        0.50-1.10 bbbbbbbbb cc ddd
    "#]],
    );
    // 22 characters in two lines: "aaaa bbbbb", "cccccc dddd".
    check_by(
        &rules,
        "aaaa 0.0-0.4 | bbbbb 0.5-0.8 | cccccc 0.8-1.0 | dddd 1.0-1.1",
        expect![[r#"
        0.00-1.10 aaaa bbbbb cccccc dddd
    "#]],
    );
}
