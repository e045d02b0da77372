//! Each rule of segments by itself, on words that are written by hand.

use expect_test::{Expect, expect};
use rnnt_decode::Word;
use segmenter::{SegmentRules, SegmentRulesError, segment};

use crate::word;

/// Parses words that are written as `so 0.0-0.4 | well 2.1-2.4`.
fn words_of(words: &str) -> Vec<Word> {
    let word_of = |spec: &str| {
        let (text, times) = spec.trim().split_once(' ').expect("a word and its times");
        let (start, end) = times.split_once('-').expect("start-end");
        let seconds = |time: &str| time.parse().expect("seconds");
        word(text, seconds(start), seconds(end))
    };
    words.split('|').map(word_of).collect()
}

#[track_caller]
fn check(words: &str, expect: Expect) {
    check_by(&SegmentRules::default(), words, expect);
}

#[track_caller]
pub(crate) fn check_by(rules: &SegmentRules, words: &str, expect: Expect) {
    let lines: Vec<_> = segment(&words_of(words), rules)
        .iter()
        .map(|segment| format!("{:.2}-{:.2} {}\n", segment.start, segment.end, segment.text))
        .collect();
    expect.assert_eq(&lines.concat());
}

#[test]
fn a_long_pause_ends_a_segment_without_punctuation() {
    check(
        "so 0.0-0.4 | well 2.1-2.4",
        expect![[r#"
        0.00-0.40 so
        2.10-2.40 well
    "#]],
    );
}

#[test]
fn a_short_pause_ends_no_segment() {
    check(
        "so 0.0-0.4 | well 1.1-1.4",
        expect![[r#"
        0.00-1.40 so well
    "#]],
    );
}

#[test]
fn a_segment_ends_with_its_speech_and_not_with_the_pause_after_it() {
    check(
        "so 0.0-0.4 | well 20.0-20.4",
        expect![[r#"
        0.00-0.40 so
        20.00-20.40 well
    "#]],
    );
}

#[test]
fn a_full_stop_ends_a_segment() {
    check(
        "Yes. 0.0-0.4 | No. 0.5-0.8",
        expect![[r#"
        0.00-0.40 Yes.
        0.50-0.80 No.
    "#]],
    );
}

#[test]
fn a_question_mark_ends_a_segment() {
    check(
        "Who? 0.0-0.4 | Me 0.5-0.8",
        expect![[r#"
        0.00-0.40 Who?
        0.50-0.80 Me
    "#]],
    );
}

#[test]
fn an_exclamation_mark_ends_a_segment() {
    check(
        "Oh! 0.0-0.4 | Me 0.5-0.8",
        expect![[r#"
        0.00-0.40 Oh!
        0.50-0.80 Me
    "#]],
    );
}

#[test]
fn closing_quotes_after_a_mark_end_a_segment() {
    check(
        "go.\" 0.0-0.4 | no?” 0.5-0.8 | (ok.) 0.9-1.0 | so 1.1-1.2",
        expect![[r#"
            0.00-0.40 go."
            0.50-0.80 no?”
            0.90-1.00 (ok.)
            1.10-1.20 so
        "#]],
    );
}

#[test]
fn a_point_inside_a_number_ends_no_segment() {
    check(
        "about 0.0-0.4 | 3.5 0.5-0.8 | metres 0.9-1.4",
        expect![[r#"
        0.00-1.40 about 3.5 metres
    "#]],
    );
}

#[test]
fn a_number_at_the_end_of_a_sentence_ends_a_segment() {
    check(
        "about 0.0-0.4 | 3.5. 0.5-0.8 | So 0.9-1.4",
        expect![[r#"
            0.00-0.80 about 3.5.
            0.90-1.40 So
        "#]],
    );
}

#[test]
fn an_abbreviation_ends_a_segment_as_in_nemo() {
    check(
        "Dr. 0.0-0.4 | Smith 0.5-0.8 | U.S.A 0.9-1.4",
        expect![[r#"
            0.00-0.40 Dr.
            0.50-1.40 Smith U.S.A
        "#]],
    );
}

#[test]
fn a_mark_alone_ends_a_segment() {
    check(
        "well 0.0-0.4 | ... 0.5-0.8 | So 0.9-1.4",
        expect![[r#"
            0.00-0.80 well ...
            0.90-1.40 So
        "#]],
    );
}

#[test]
fn an_apostrophe_after_a_word_ends_no_segment_and_after_a_mark_it_does() {
    check(
        "dogs' 0.0-0.4 | 'go!' 0.5-0.8 | So 0.9-1.4",
        expect![[r#"
            0.00-0.80 dogs' 'go!'
            0.90-1.40 So
        "#]],
    );
}

#[test]
fn other_marks_end_no_segment() {
    check(
        "well, 0.0-0.4 | dogs' 0.5-0.8 | tails: 0.9-1.4",
        expect![[r#"
            0.00-1.40 well, dogs' tails:
        "#]],
    );
}

#[test]
fn too_long_a_segment_is_cut_at_its_widest_gap() {
    check(
        "a 0.0-7.0 | b 7.1-8.0 | c 8.5-14.0 | d 14.1-21.0",
        expect![[r#"
            0.00-8.00 a b
            8.50-21.00 c d
        "#]],
    );
}

#[test]
fn a_segment_as_long_as_the_cap_is_left_whole() {
    check(
        "a 0.0-10.0 | b 10.5-20.0",
        expect![[r#"
        0.00-20.00 a b
    "#]],
    );
}

#[test]
fn halves_that_are_too_long_are_cut_again() {
    check(
        "a 0.0-15.0 | b 15.1-30.0 | c 30.5-45.0 | d 45.2-60.0",
        expect![[r#"
            0.00-15.00 a
            15.10-30.00 b
            30.50-45.00 c
            45.20-60.00 d
        "#]],
    );
}

#[test]
fn of_equally_wide_gaps_the_one_nearest_the_middle_is_cut() {
    check(
        "a 0.0-1.0 | b 1.1-6.0 | c 6.1-11.0 | d 11.1-16.0 | e 16.1-21.0",
        expect![[r#"
            0.00-11.00 a b c
            11.10-21.00 d e
        "#]],
    );
}

#[test]
fn a_single_word_is_never_cut() {
    check(
        "aaah 0.0-40.0 | b 40.1-41.0",
        expect![[r#"
        0.00-40.00 aaah
        40.10-41.00 b
    "#]],
    );
}

#[test]
fn sentence_ends_are_a_setting() {
    let rules = SegmentRules {
        at_sentence_ends: false,
        ..SegmentRules::default()
    };
    check_by(
        &rules,
        "Yes. 0.0-0.4 | No. 0.5-0.8",
        expect![[r#"
        0.00-0.80 Yes. No.
    "#]],
    );
}

#[test]
fn pauses_and_length_can_be_without_limit() {
    let rules = SegmentRules {
        pause: f64::INFINITY,
        max_length: f64::INFINITY,
        ..SegmentRules::default()
    };
    check_by(
        &rules,
        "a 0.0-0.4 | b 500.0-7200.0",
        expect![[r#"
        0.00-7200.00 a b
    "#]],
    );
}

#[test]
fn a_length_of_time_that_is_negative_or_no_number_is_refused_by_name() {
    let rules = |pause, max_length| SegmentRules {
        pause,
        max_length,
        ..SegmentRules::default()
    };
    assert_eq!(SegmentRules::default().check(), Ok(()));
    assert_eq!(rules(0.0, f64::INFINITY).check(), Ok(()));
    let error = rules(-0.5, 20.0).check().expect_err("a negative pause");
    assert_eq!(error, SegmentRulesError::Pause { seconds: -0.5 });
    assert_eq!(
        error.to_string(),
        "segment pause is -0.5 s, expected 0 or more"
    );
    let error = rules(0.8, f64::NAN).check().expect_err("no length");
    assert_eq!(
        error.to_string(),
        "segment length is NaN s, expected 0 or more"
    );
}

#[test]
fn rules_that_are_refused_keep_every_word_nevertheless() {
    for seconds in [-1.0, f64::NAN, f64::NEG_INFINITY] {
        let rules = SegmentRules {
            pause: seconds,
            max_length: seconds,
            ..SegmentRules::default()
        };
        check_by(
            &rules,
            "a 0.0-0.4 | b 0.4-0.8",
            expect![[r#"
                0.00-0.40 a
                0.40-0.80 b
            "#]],
        );
    }
}

#[test]
fn no_words_make_no_segment() {
    assert_eq!(segment(&[], &SegmentRules::default()), []);
}

#[test]
fn a_pause_of_ten_encoder_frames_ends_a_segment_wherever_it_lies() {
    let seconds = |frame: usize| (frame * 1280) as f64 / 16_000.0;
    for frame in 0..10_000 {
        let n_segments = |pause| {
            let next = frame + 1 + pause;
            let words = [
                word("a", seconds(frame), seconds(frame + 1)),
                word("b", seconds(next), seconds(next + 1)),
            ];
            segment(&words, &SegmentRules::default()).len()
        };
        assert_eq!((n_segments(9), n_segments(10)), (1, 2), "at frame {frame}");
    }
}
