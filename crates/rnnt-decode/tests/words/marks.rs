//! Punctuation: the word to which a mark belongs, and the frames on which it sounds.

use rnnt_decode::{Head, TokenTimes};

use crate::{clock, words_by};

/// Checks the words of ten seconds of audio, which are written as `text@frame-end`.
#[track_caller]
fn check(times: TokenTimes, tokens: &str, expected: &str) {
    let frame = |seconds: f64| (seconds / 0.08).round();
    let words: Vec<_> = words_by(tokens, &clock(160_000), times)
        .iter()
        .map(|word| format!("{}@{}-{}", word.text, frame(word.start), frame(word.end)))
        .collect();
    assert_eq!(words.join(" "), expected);
}

#[test]
fn a_tdt_mark_in_the_pause_leaves_its_word_as_short_as_it_is() {
    check(
        TokenTimes::SilentMarks,
        "▁yes@3+2 .@30+4 ▁no@40+2 ?@44+1",
        "yes.@3-5 no?@40-42",
    );
}

#[test]
fn an_rnnt_mark_sounds_where_it_was_written() {
    check(TokenTimes::AsFound, "▁yes@3 .@6", "yes.@3-7");
}

#[test]
fn every_head_has_the_rule_of_nemo_but_ctc_which_has_ours() {
    let times = [Head::Rnnt, Head::Tdt, Head::Ctc].map(TokenTimes::from);
    let expected = [
        TokenTimes::AsFound,
        TokenTimes::SilentMarks,
        TokenTimes::SilentMarks,
    ];
    assert_eq!(times, expected);
}

#[test]
fn marks_in_a_row_are_all_silent() {
    check(
        TokenTimes::SilentMarks,
        "▁what@3+2 ?@9+4 !@14+4 '@20+1",
        "what?!'@3-5",
    );
}

#[test]
fn a_word_goes_on_after_a_mark_inside_it() {
    check(
        TokenTimes::SilentMarks,
        "▁don@3+2 '@5+1 t@6+2 ▁3@10+1 .@12+1 5@13+2",
        "don't@3-8 3.5@10-15",
    );
}

#[test]
fn a_piece_that_is_more_than_a_mark_sounds() {
    check(TokenTimes::SilentMarks, "▁dog@3+2 's@5+2", "dog's@3-7");
}

#[test]
fn a_word_starts_with_the_mark_that_opens_it() {
    check(
        TokenTimes::SilentMarks,
        "▁si@1+1 ▁¿@8+1 qué@9+2 ?@30+1",
        "si@1-2 ¿qué?@8-11",
    );
}

#[test]
fn a_word_of_marks_alone_has_the_frames_of_its_first() {
    check(
        TokenTimes::SilentMarks,
        "▁a@1+1 ▁–@4+2 –@8+1 ▁b@20+1",
        "a@1-2 ––@4-6 b@20-21",
    );
}

#[test]
fn a_closing_mark_belongs_to_the_word_before_it_even_after_a_space() {
    check(
        TokenTimes::SilentMarks,
        "▁va@1+1 ▁?@4+1 ▁bon@6+1 ▁@8+1 !@9+1 ▁ah@12+1 ▁...@15+1 ▁oh@20+1 ▁…@22+1",
        "va?@1-2 bon!@6-7 ah...@12-16 oh…@20-21",
    );
}

#[test]
fn closing_marks_before_any_word_are_one() {
    check(TokenTimes::AsFound, ".@1 ▁?@2 ▁a@3", ".?@1-3 a@3-4");
}

#[test]
fn other_marks_after_a_space_begin_a_word() {
    check(
        TokenTimes::AsFound,
        "▁was@1 ▁'@3 tis@4 ▁(@6 so@7 )@8 ▁.@10 5@11",
        "was@1-2 'tis@3-5 (so)@6-9 .5@10-12",
    );
}

#[test]
fn a_ctc_word_ends_with_the_last_run_of_its_tokens() {
    check(
        TokenTimes::from(Head::Ctc),
        "▁hel@10+1 lo@12+2 ▁world@34+2 ▁x@41+1",
        "hello@10-14 world@34-36 x@41-42",
    );
}

#[test]
fn nemo_has_ctc_words_touch() {
    check(
        TokenTimes::NemoCtc,
        "▁hel@10+1 lo@12+2 ▁world@34+2 ▁x@41+1",
        "hello@9-12 world@12-34 x@34-41",
    );
}

#[test]
fn nemo_has_a_ctc_token_on_the_first_frame_last_for_none() {
    check(TokenTimes::NemoCtc, "▁a@0+3 ▁b@5+1", "a@0-0 b@0-5");
}

#[test]
fn nemo_has_a_ctc_mark_before_anything_else_last_like_any_token() {
    check(TokenTimes::NemoCtc, "?@5+1 ▁a@9+1", "?@4-5 a@5-9");
}

#[test]
fn nemo_has_a_ctc_piece_that_begins_with_a_mark_last_for_none() {
    check(TokenTimes::NemoCtc, "▁dog@3+1 's@9+1 .@12+1", "dog's.@2-9");
}
