//! Joining the tokens of chunks: no word is lost at a seam, and no word is there twice.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use rnnt_decode::{Token, TokenId, Vocabulary};
use segmenter::{Chunk, stitch};

const STRIDE: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");

/// Three pieces that begin a word, and one that continues it.
fn vocabulary() -> Vocabulary {
    Vocabulary::new(["▁a", "▁b", "▁c", "d"].map(String::from).into()).expect("four pieces")
}

fn token(id: TokenId, frame: usize) -> Token {
    Token {
        id,
        frame,
        duration: 1,
        log_prob: -0.5,
    }
}

/// A chunk that searches the frames from `start` to `end`.
fn chunk(start: usize, end: usize, overlap: usize) -> Chunk {
    let samples = start * STRIDE.get()..end * STRIDE.get();
    Chunk {
        encoded: samples.clone(),
        searched: samples,
        overlap: overlap * STRIDE.get(),
    }
}

/// Parses tokens that are written as `a@3 d@5`.
fn parse(tokens: &str) -> Vec<Token> {
    let parse = |token_at: &str| {
        let (piece, frame) = token_at.split_once('@').expect("a piece and a frame");
        let id = ["a", "b", "c", "d"]
            .iter()
            .position(|it| *it == piece)
            .expect("one of four");
        token(id as TokenId, frame.parse().expect("a frame is a number"))
    };
    tokens.split_whitespace().map(parse).collect()
}

fn print(tokens: &[Token]) -> String {
    let print = |token: &Token| {
        format!(
            "{}@{}",
            ["a", "b", "c", "d"][token.id as usize],
            token.frame
        )
    };
    tokens.iter().map(print).collect::<Vec<_>>().join(" ")
}

/// Joins two chunks that both search the frames 20 to 40.
#[track_caller]
fn check(before: &str, after: &str, expected: &str) {
    let chunks = [
        (chunk(0, 40, 0), parse(before)),
        (chunk(20, 80, 20), parse(after)),
    ];
    assert_eq!(print(&stitch(chunks, STRIDE, &vocabulary())), expected);
}

/// Joins two chunks that meet in a pause, at frame 20.
#[track_caller]
fn check_quiet(before: &str, after: &str, expected: &str) {
    let chunks = [
        (chunk(0, 20, 0), parse(before)),
        (chunk(20, 80, 0), parse(after)),
    ];
    assert_eq!(print(&stitch(chunks, STRIDE, &vocabulary())), expected);
}

#[test]
fn in_a_pause_everything_is_kept_even_an_equal_neighbour() {
    check_quiet("a@3 b@17", "b@20 c@25", "a@3 b@17 b@20 c@25");
    check_quiet("", "b@20", "b@20");
    check_quiet("a@3", "", "a@3");
}

#[test]
fn words_that_both_heard_are_there_once() {
    check("a@5 b@22 c@30", "b@22 c@30 a@50", "a@5 b@22 c@30 a@50");
}

#[test]
fn a_word_is_one_though_the_chunks_time_it_differently() {
    check(
        "a@5 b@22 d@23 c@30",
        "b@24 d@26 c@31 a@50",
        "a@5 b@22 d@23 c@31 a@50",
    );
}

#[test]
fn equal_neighbours_are_told_apart_by_their_times() {
    check(
        "a@15 a@21 a@25 a@29 a@33",
        "a@24 a@29 a@34 a@39 b@44",
        "a@15 a@21 a@25 a@29 a@34 a@39 b@44",
    );
}

#[test]
fn a_word_that_is_cut_off_comes_from_the_chunk_that_heard_all_of_it() {
    // The start of the second chunk cuts "bd" in two, and the end of the first chunk cuts "cd" in two.
    check(
        "b@18 d@21 a@28 c@38",
        "c@21 a@28 c@38 d@41",
        "b@18 d@21 a@28 c@38 d@41",
    );
}

#[test]
fn a_word_that_one_chunk_missed_is_kept() {
    check("a@22 b@28 c@34", "a@22 c@34 b@50", "a@22 b@28 c@34 b@50");
    check("a@22 c@34", "a@22 b@28 c@34 b@50", "a@22 b@28 c@34 b@50");
}

#[test]
fn a_word_that_was_heard_differently_is_there_once() {
    check("a@22 b@28 c@34", "a@22 c@29 c@34", "a@22 b@28 c@34");
}

#[test]
fn chunks_that_agree_on_nothing_are_cut_between_two_words() {
    check("a@21 b@26 b@36", "b@20 c@25 a@35", "a@21 b@26 a@35");
}

#[test]
fn what_one_chunk_alone_heard_is_kept() {
    check("a@5 b@25 c@35", "a@50", "a@5 b@25 c@35 a@50");
    check("a@5", "b@25 c@35 a@50", "a@5 b@25 c@35 a@50");
    check("a@5 b@39", "c@60", "a@5 b@39 c@60");
    check("", "", "");
}

#[test]
fn no_token_lies_before_its_forerunner() {
    check("a@25 d@33", "a@25 d@30 b@31", "a@25 d@33 b@33");
}

/// Words of one or two tokens, at least four frames apart.
#[derive(Debug, Clone)]
struct Truth {
    words: Vec<Vec<Token>>,
}

prop_compose! {
    fn truth()(words in prop::collection::vec((0..3u32, any::<bool>(), 4..9usize), 120)) -> Truth {
        let mut now = 0;
        let words = words.into_iter().map(|(id, is_long, apart)| {
            now += apart;
            let mut word = vec![token(id, now)];
            word.extend(is_long.then(|| token(3, now + 2)));
            word
        });
        Truth { words: words.collect() }
    }
}

/// The tokens that a chunk finds of the truth between two frames. Each word is up to a frame early or late. A
/// word that the chunk cuts in two has the tokens that `damage` says.
fn view(
    truth: &Truth,
    start: usize,
    end: usize,
    jitter: &[usize],
    damage: (Option<TokenId>, Option<TokenId>),
) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for (word, jitter) in truth.words.iter().zip(jitter.iter().cycle()) {
        let (first, last) = (word[0].frame, word[word.len() - 1].frame);
        // A word lasts from its first token to the frame after its last token.
        let is_whole = start < first && last + 2 < end;
        let is_outside = last + 2 <= start || first >= end;
        if is_whole {
            found.extend(word.iter().map(|it| token(it.id, it.frame + jitter - 1)));
        } else if !is_outside {
            let damage = if first <= start { damage.0 } else { damage.1 };
            found.extend(damage.map(|id| token(id, first.clamp(start, end - 1))));
        }
    }
    found
}

proptest! {
    #[test]
    fn every_word_is_there_once_wherever_the_seams_are(
        truth in truth(),
        lengths in prop::collection::vec(30..90usize, 1..6),
        jitters in prop::collection::vec(prop::collection::vec(0..3usize, 7), 6),
        // Half a word at a chunk's start may be any piece. At its end it is a piece that begins a word.
        damages in prop::collection::vec(
            (prop::option::of(0..4u32), prop::option::of(0..3u32)), 6
        ),
    ) {
        let mut chunks = Vec::new();
        let mut start = 0;
        for (at, length) in lengths.iter().enumerate() {
            let is_last = at + 1 == lengths.len();
            let end = if is_last { 1000 } else { start + length };
            let overlap = if at == 0 { 0 } else { 24 };
            let found = view(&truth, start, end, &jitters[at], damages[at]);
            chunks.push((chunk(start, end, overlap), found));
            start = end - 24;
        }
        let joined = stitch(chunks, STRIDE, &vocabulary());
        let spoken: Vec<_> = truth.words.concat();
        let ids = |tokens: &[Token]| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&joined), ids(&spoken));
        for (joined, spoken) in joined.iter().zip(&spoken) {
            prop_assert!(joined.frame.abs_diff(spoken.frame) <= 1);
        }
    }

    #[test]
    fn tokens_come_out_in_order_whatever_the_chunks_heard(
        found in prop::collection::vec(prop::collection::vec((0..4u32, 0..40usize), 0..20), 1..5),
        overlap in 0..20usize,
    ) {
        let chunks = found.into_iter().enumerate().map(|(at, tokens)| {
            let start = at * 20;
            let mut tokens: Vec<_> =
                tokens.into_iter().map(|(id, frame)| token(id, start + frame)).collect();
            tokens.sort_by_key(|token| token.frame);
            (chunk(start, start + 40, if at == 0 { 0 } else { overlap }), tokens)
        });
        let joined = stitch(chunks.collect::<Vec<_>>(), STRIDE, &vocabulary());
        prop_assert!(joined.is_sorted_by_key(|token| token.frame));
    }

    #[test]
    fn without_overlap_every_token_is_kept(
        found in prop::collection::vec(prop::collection::vec(0..4u32, 0..20), 1..5),
    ) {
        let chunks = found.iter().enumerate().map(|(at, ids)| {
            let tokens = ids.iter().map(|&id| token(id, at * 20)).collect();
            (chunk(at * 20, at * 20 + 20, 0), tokens)
        });
        let joined = stitch(chunks.collect::<Vec<_>>(), STRIDE, &vocabulary());
        prop_assert_eq!(joined.iter().map(|token| token.id).collect::<Vec<_>>(), found.concat());
    }
}
