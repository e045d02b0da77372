//! The text and the times of words.

use expect_test::{Expect, expect};
use rnnt_decode::{FrameClock, Hypothesis, Token, TokenTimes, Vocabulary, text, words};

use crate::{clock, words_of};

/// Checks the words of ten seconds of audio.
#[track_caller]
fn check(tokens: &str, expect: Expect) {
    check_by(&clock(160_000), tokens, expect);
}

#[track_caller]
fn check_by(clock: &FrameClock, tokens: &str, expect: Expect) {
    let lines: Vec<_> = words_of(tokens, clock)
        .iter()
        .map(|word| format!("{:.2}-{:.2} {}\n", word.start, word.end, word.text))
        .collect();
    expect.assert_eq(&lines.concat());
}

#[test]
fn a_word_runs_from_its_first_token_to_the_end_of_its_last() {
    check(
        "▁the@3 ▁cat@5 s@7",
        expect![[r#"
        0.24-0.32 the
        0.40-0.64 cats
    "#]],
    );
}

#[test]
fn a_frame_is_the_stride_long_and_not_the_hop() {
    check(
        "▁a@100",
        expect![[r#"
        8.00-8.08 a
    "#]],
    );
}

#[test]
fn a_pause_between_words_shows() {
    check(
        "▁hello@9 ▁world@34",
        expect![[r#"
        0.72-0.80 hello
        2.72-2.80 world
    "#]],
    );
}

#[test]
fn a_word_ends_where_the_next_begins_at_the_latest() {
    check(
        "▁one@4+4 ▁two@6+4",
        expect![[r#"
        0.32-0.48 one
        0.48-0.80 two
    "#]],
    );
}

#[test]
fn words_on_one_frame_do_not_overlap() {
    check(
        "▁a@4 ▁b@4 ▁c@4",
        expect![[r#"
        0.32-0.32 a
        0.32-0.32 b
        0.32-0.40 c
    "#]],
    );
}

#[test]
fn a_word_ends_with_the_audio_at_the_latest() {
    check_by(
        &clock(16_000),
        "▁end@12+4",
        expect![[r#"
        0.96-1.00 end
    "#]],
    );
}

#[test]
fn a_duration_is_a_part_of_the_word() {
    check(
        "▁long@2+4 er@6+3",
        expect![[r#"
        0.16-0.72 longer
    "#]],
    );
}

#[test]
fn times_of_a_chunk_are_those_of_its_file() {
    let clock = FrameClock {
        samples: 480_000..640_000,
        ..clock(0)
    };
    check_by(
        &clock,
        "▁later@10",
        expect![[r#"
        30.80-30.88 later
    "#]],
    );
}

#[test]
fn a_word_equal_to_its_neighbour_is_kept() {
    check(
        "▁very@1 ▁very@4 ▁good@9",
        expect![[r#"
        0.08-0.16 very
        0.32-0.40 very
        0.72-0.80 good
    "#]],
    );
}

#[test]
fn a_first_piece_without_a_space_mark_starts_a_word() {
    check(
        "ing@1 ▁on@3",
        expect![[r#"
        0.08-0.16 ing
        0.24-0.32 on
    "#]],
    );
}

#[test]
fn a_bare_space_mark_belongs_to_the_word_after_it() {
    check(
        "▁a@1 ▁@4 b@5 c@6",
        expect![[r#"
        0.08-0.16 a
        0.32-0.56 bc
    "#]],
    );
}

#[test]
fn a_bare_space_mark_alone_is_no_word() {
    check(
        "▁@1 ▁a@4 ▁@9 ▁@9",
        expect![[r#"
        0.32-0.40 a
    "#]],
    );
}

#[test]
fn space_marks_inside_a_piece_are_one_space() {
    check(
        "▁of▁▁the@1",
        expect![[r#"
        0.08-0.16 of the
    "#]],
    );
}

#[test]
fn an_unknown_piece_is_a_word_of_its_own() {
    check(
        "▁a@1 <unk>@2 b@3 ▁c@4 <unk>@5 <unk>@6",
        expect![[r#"
        0.08-0.16 a
        0.16-0.24 ⁇
        0.24-0.32 b
        0.32-0.40 c
        0.40-0.48 ⁇
        0.48-0.56 ⁇
    "#]],
    );
}

#[test]
fn an_id_past_the_vocabulary_reads_as_unknown() {
    let vocabulary = Vocabulary::new(vec!["▁a".to_owned()]).expect("a vocabulary");
    let token = |id| Token {
        id,
        frame: 1,
        duration: 1,
        log_prob: 0.0,
    };
    let hypothesis = Hypothesis {
        tokens: vec![token(0), token(9)],
    };
    assert_eq!(
        text(&words(
            &hypothesis,
            &vocabulary,
            &clock(160_000),
            TokenTimes::AsFound
        )),
        "a ⁇"
    );
}

#[test]
fn byte_pieces_are_joined_into_characters() {
    check(
        "▁5@1 <0xE2>@2 <0x82>@2 <0xac>@3 s@4",
        expect![[r#"
        0.08-0.40 5€s
    "#]],
    );
}

#[test]
fn every_broken_byte_becomes_a_replacement_character() {
    check(
        "▁a@1 <0xE2>@2 <0x82>@3 b@4 <0xAC>@5",
        expect![[r#"
        0.08-0.48 a��b�
    "#]],
    );
}

#[test]
fn what_only_looks_like_a_byte_piece_is_text() {
    check(
        "▁<0xE2>@1 <0x+2>@2 <0x0E2>@3 <0xE>@4 <0xZZ>@5",
        expect![[r#"
            0.08-0.48 <0xE2><0x+2><0x0E2><0xE><0xZZ>
        "#]],
    );
}

#[test]
fn nothing_said_makes_no_words() {
    let vocabulary = Vocabulary::new(vec!["▁a".to_owned()]).expect("a vocabulary");
    assert_eq!(
        words(
            &Hypothesis::default(),
            &vocabulary,
            &clock(0),
            TokenTimes::AsFound
        ),
        []
    );
    assert_eq!(text(&[]), "");
}
