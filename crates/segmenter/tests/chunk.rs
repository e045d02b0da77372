//! Where long audio is cut.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use segmenter::{Chunk, ChunkRules, plan_chunks};

/// Samples per encoder frame in these tests.
const STRIDE: usize = 4;

fn rules(max_frames: usize, search_frames: usize) -> ChunkRules {
    ChunkRules {
        stride: NonZeroUsize::new(STRIDE).expect("4 is not 0"),
        max_frames: NonZeroUsize::new(max_frames).expect("chunks have frames"),
        search_frames,
    }
}

/// Plans audio written as one digit of loudness per encoder frame, and marks the cuts.
#[track_caller]
fn check(loudness: &str, rules: &ChunkRules, expected: &str) {
    let audio: Vec<f32> = loudness
        .bytes()
        .flat_map(|digit| [f32::from(digit - b'0'), -f32::from(digit - b'0')].repeat(STRIDE / 2))
        .collect();
    let parts: Vec<_> = plan_chunks(&audio, rules)
        .into_iter()
        .map(|Chunk { samples }| &loudness[samples.start / STRIDE..samples.end / STRIDE])
        .collect();
    assert_eq!(parts.join("|"), expected);
}

#[test]
fn audio_up_to_the_limit_is_one_chunk() {
    check("55005", &rules(5, 3), "55005");
}

#[test]
fn no_audio_is_no_chunk() {
    check("", &rules(5, 3), "");
}

#[test]
fn longer_audio_is_cut_where_it_is_quietest() {
    check("555115555", &rules(6, 3), "5551|15555");
}

#[test]
fn a_pause_is_cut_inside_and_not_at_its_edge() {
    check("55500055", &rules(6, 3), "55500|055");
}

#[test]
fn of_equally_quiet_places_the_latest_is_cut() {
    check("5511511555", &rules(8, 6), "551151|1555");
}

#[test]
fn a_quiet_place_before_the_search_range_is_left_alone() {
    check("5005554555", &rules(6, 1), "500555|4555");
}

#[test]
fn a_search_range_of_nothing_cuts_at_the_limit() {
    check("5005550555", &rules(6, 0), "500555|0555");
}

#[test]
fn a_search_range_longer_than_a_chunk_leaves_no_chunk_empty() {
    check("0055555", &rules(3, 9), "0|0|555|55");
}

#[test]
fn half_a_minute_is_one_chunk_and_a_sample_more_is_two() {
    let plan = |n_samples| plan_chunks(&vec![0.1; n_samples], &ChunkRules::default()).len();
    assert_eq!((plan(480_000), plan(480_001)), (1, 2));
}

proptest! {
    #[test]
    fn chunks_cover_the_audio_once_in_order_on_the_grid(
        audio in prop::collection::vec(-1f32..1.0, 0..400),
        max_frames in 1..20usize,
        search_frames in 0..25usize,
    ) {
        let mut covered = 0;
        for Chunk { samples } in plan_chunks(&audio, &rules(max_frames, search_frames)) {
            prop_assert_eq!(samples.start, covered);
            prop_assert_eq!(samples.start % STRIDE, 0);
            prop_assert!(!samples.is_empty());
            prop_assert!(samples.len() <= max_frames * STRIDE);
            covered = samples.end;
        }
        prop_assert_eq!(covered, audio.len());
    }
}
