//! Words of chunks become those of the file.

use proptest::prelude::*;
use rnnt_decode::Word;
use segmenter::stitch;

/// A word of `text` at `times`, in seconds of the file.
fn word(text: &str, times: [f64; 2]) -> Word {
    Word {
        text: text.to_owned(),
        start: times[0],
        end: times[1],
        confidence: Some(0.5),
    }
}

/// Stitches chunks of words that are all called "very", and gives their times.
#[track_caller]
fn check(chunks: &[&[[f64; 2]]], expected: &[[f64; 2]]) {
    let words_of = |chunk: &&[[f64; 2]]| chunk.iter().map(|&times| word("very", times)).collect();
    let stitched = stitch(chunks.iter().map(words_of).collect());
    let times: Vec<_> = stitched.iter().map(|word| [word.start, word.end]).collect();
    assert_eq!(times, expected);
}

#[test]
fn equal_words_on_both_sides_of_a_seam_are_kept() {
    check(
        &[&[[0.0, 1.0], [2.0, 3.0]], &[[3.0, 4.0]]],
        &[[0.0, 1.0], [2.0, 3.0], [3.0, 4.0]],
    );
}

#[test]
fn a_word_that_runs_over_a_seam_is_cut_to_the_next() {
    check(&[&[[2.0, 3.5]], &[[3.0, 4.0]]], &[[2.0, 3.0], [3.0, 4.0]]);
}

#[test]
fn a_word_does_not_start_before_its_forerunner() {
    check(&[&[[2.0, 3.5]], &[[1.0, 1.5]]], &[[2.0, 2.0], [2.0, 2.0]]);
}

#[test]
fn chunks_without_words_leave_no_trace() {
    check(&[&[], &[[1.0, 2.0]], &[], &[]], &[[1.0, 2.0]]);
    check(&[], &[]);
}

proptest! {
    #[test]
    fn words_in_order_come_back_as_they_were_wherever_they_were_parted(
        times in prop::collection::vec(0..100_000u32, 0..80), size in 1..10usize
    ) {
        let mut times = times;
        times.sort_unstable();
        let words: Vec<_> = times
            .chunks_exact(2)
            .map(|times| word("very", [times[0], times[1]].map(|ms| f64::from(ms) / 1000.0)))
            .collect();
        let chunks = words.chunks(size).map(<[Word]>::to_vec).collect();
        prop_assert_eq!(stitch(chunks), words);
    }

    #[test]
    fn stitched_words_never_overlap_and_never_run_backwards(
        chunks in prop::collection::vec(
            prop::collection::vec((0f64..100.0, 0f64..5.0), 0..10), 0..10
        )
    ) {
        let words_of = |chunk: Vec<(f64, f64)>| {
            chunk.into_iter().map(|(start, length)| word("a", [start, start + length])).collect()
        };
        let n_words: usize = chunks.iter().map(Vec::len).sum();
        let stitched = stitch(chunks.into_iter().map(words_of).collect());
        prop_assert_eq!(stitched.len(), n_words);
        let times: Vec<_> = stitched.iter().flat_map(|word| [word.start, word.end]).collect();
        prop_assert!(times.is_sorted(), "{times:?}");
    }
}
