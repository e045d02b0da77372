//! Where long audio is cut, and which samples each chunk encodes and searches.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use segmenter::{Chunk, ChunkRules, plan_chunks, split_chunk};

/// Samples per encoder frame in these tests.
const STRIDE: usize = 4;

/// Rules for chunks of at most 16 frames, with a wanted length of 10 frames and two frames of context.
fn rules() -> ChunkRules {
    ChunkRules {
        context_frames: 2,
        pause_frames: 2,
        overlap_frames: 4,
        skip_frames: None,
        ..of_length(16)
    }
}

fn of_length(max_frames: usize) -> ChunkRules {
    let not_0 = |n| NonZeroUsize::new(n).expect("chunks have frames");
    ChunkRules::of_length(not_0(STRIDE), not_0(max_frames))
}

/// Audio with one digit for the loudness of each encoder frame: 0 is silence, and each step is 5 dB.
fn audio(loudness: &str) -> Vec<f32> {
    let amplitude = |digit: u8| match digit - b'0' {
        0 => 0.0,
        digit => 10f32.powf(f32::from(digit) * 0.25 - 2.25),
    };
    let frames = loudness.bytes().map(amplitude);
    frames.flat_map(|x| [x, -x].repeat(STRIDE / 2)).collect()
}

/// Plans audio and prints the loudness that each chunk searches, with `<` for an overlap with the chunk
/// before.
#[track_caller]
fn check(loudness: &str, rules: &ChunkRules, expected: &str) {
    let print = |chunk: Chunk| {
        assert_eq!(chunk.overlap % STRIDE, 0);
        let overlap = "<".repeat(chunk.overlap / STRIDE);
        overlap + &loudness[chunk.searched.start / STRIDE..chunk.searched.end / STRIDE]
    };
    let parts: Vec<_> = plan_chunks(&audio(loudness), rules)
        .into_iter()
        .map(print)
        .collect();
    assert_eq!(parts.join("|"), expected);
}

/// Checks that chunks search all audio in order, encode what they search, and are not too long.
#[track_caller]
fn check_plan(chunks: &[Chunk], n_samples: usize, rules: &ChunkRules) {
    let mut covered = 0;
    for chunk in chunks {
        let Chunk {
            encoded,
            searched,
            overlap,
        } = chunk;
        assert_eq!(searched.start + overlap, covered, "{chunk:?}");
        assert!(searched.end > covered, "{chunk:?} adds nothing");
        assert!(
            encoded.start <= searched.start && searched.end <= encoded.end,
            "{chunk:?}"
        );
        assert_eq!(
            (encoded.start % STRIDE, searched.start % STRIDE),
            (0, 0),
            "{chunk:?}"
        );
        assert!(
            encoded.len() <= rules.max_frames.get() * STRIDE,
            "{chunk:?}"
        );
        covered = searched.end;
    }
    assert_eq!(covered, n_samples);
}

#[test]
fn audio_up_to_the_limit_is_one_chunk_and_is_encoded_whole() {
    let audio = audio("9990999099909990");
    let whole = Chunk {
        encoded: 0..64,
        searched: 0..64,
        overlap: 0,
    };
    assert_eq!(plan_chunks(&audio, &rules()), [whole]);
}

#[test]
fn no_audio_is_no_chunk() {
    assert_eq!(plan_chunks(&[], &rules()), []);
}

#[test]
fn longer_audio_is_cut_in_the_middle_of_its_pause() {
    check("999999990000999999999", &rules(), "9999999900|00999999999");
}

#[test]
fn of_two_pauses_the_quieter_is_cut() {
    check(
        "99999992222990000999999",
        &rules(),
        "99999992222990|000999999",
    );
}

#[test]
fn of_two_equal_pauses_the_one_that_makes_chunks_of_the_wanted_length_is_cut() {
    check(
        "9900009900009999999999",
        &rules(),
        "9900009900|009999999999",
    );
}

#[test]
fn speech_without_a_pause_is_cut_with_overlap() {
    check(
        "99999999999999999999",
        &rules(),
        "999999999999|<<<<999999999999",
    );
}

#[test]
fn a_dip_that_is_shorter_than_a_pause_is_cut_with_overlap() {
    check(
        "99999999909999999999",
        &rules(),
        "999999999099|<<<<909999999999",
    );
}

#[test]
fn a_pause_thirty_db_up_is_cut_as_the_same_pause_below() {
    let low = "333333330000333333333";
    let high = low.replace('3', "9").replace('0', "6");
    check(low, &rules(), "3333333300|00333333333");
    check(&high, &rules(), "9999999966|66999999999");
}

#[test]
fn a_chunk_is_encoded_with_its_neighbours_on_both_sides() {
    let chunks = plan_chunks(&audio("999999990000999999999"), &rules());
    let frames = |chunk: &Chunk| chunk.encoded.start / STRIDE..chunk.encoded.end / STRIDE;
    assert_eq!((frames(&chunks[0]), frames(&chunks[1])), (0..12, 8..21));
}

#[test]
fn the_middle_of_a_long_silence_is_heard_by_nobody() {
    let loudness = "99990000000000000000009999";
    let skipping = ChunkRules {
        skip_frames: NonZeroUsize::new(8),
        ..rules()
    };
    check(loudness, &skipping, "999900|009999");
    let chunks = plan_chunks(&audio(loudness), &rules());
    check_plan(&chunks, 26 * STRIDE, &rules());
}

#[test]
fn the_edges_of_a_file_need_no_margin() {
    let rules = ChunkRules {
        skip_frames: NonZeroUsize::new(8),
        ..rules()
    };
    check("00000000009999000000000000", &rules, "00999900");
    check("00000000000000000000000000", &rules, "");
}

#[test]
fn a_silence_in_which_something_stirs_is_not_skipped() {
    let skipping = ChunkRules {
        skip_frames: NonZeroUsize::new(8),
        ..rules()
    };
    let chunks = plan_chunks(&audio("99990000000100000009999"), &skipping);
    check_plan(&chunks, 23 * STRIDE, &skipping);
}

#[test]
fn a_phrase_far_under_everything_else_is_not_skipped() {
    let skipping = ChunkRules {
        skip_frames: NonZeroUsize::new(8),
        ..rules()
    };
    let loudness = format!("{}1211221121{}", "9".repeat(600), "9".repeat(600));
    let chunks = plan_chunks(&audio(&loudness), &skipping);
    check_plan(&chunks, loudness.len() * STRIDE, &skipping);
}

#[test]
fn half_a_minute_is_one_chunk_and_a_sample_more_is_two() {
    let plan = |n_samples| plan_chunks(&vec![0.1; n_samples], &ChunkRules::default()).len();
    assert_eq!((plan(480_000), plan(480_001)), (1, 2));
}

#[test]
fn samples_that_are_no_numbers_do_no_harm() {
    let mut audio = audio(&"9".repeat(40));
    audio[17] = f32::NAN;
    audio[60] = f32::INFINITY;
    check_plan(&plan_chunks(&audio, &rules()), audio.len(), &rules());
}

#[test]
fn a_chunk_planned_anew_hears_what_it_heard() {
    let audio = audio(&"9".repeat(40));
    let chunks = plan_chunks(&audio, &rules());
    let smaller = ChunkRules {
        max_frames: of_length(8).max_frames,
        ..rules()
    };
    let anew: Vec<_> = chunks
        .iter()
        .flat_map(|it| split_chunk(&audio, it, &smaller))
        .collect();
    assert!(anew.len() > chunks.len());
    check_plan(&anew, audio.len(), &smaller);
}

prop_compose! {
    fn loudness()(
        runs in prop::collection::vec((0..10u32, 1..12usize), 0..24), cut_off in 0..STRIDE
    ) -> Vec<f32> {
        let digits: Vec<_> = runs.iter().map(|(digit, n)| digit.to_string().repeat(*n)).collect();
        let mut audio = audio(&digits.concat());
        audio.truncate(audio.len().saturating_sub(cut_off));
        audio
    }
}

prop_compose! {
    fn any_rules()(
        max_frames in 1..40usize, wanted in 1..50usize, context_frames in 0..8usize,
        pause_frames in 0..6usize, overlap_frames in 0..12usize,
    ) -> ChunkRules {
        ChunkRules {
            wanted_frames: NonZeroUsize::new(wanted).expect("chunks have frames"),
            context_frames,
            pause_frames,
            overlap_frames,
            skip_frames: None,
            ..of_length(max_frames)
        }
    }
}

proptest! {
    #[test]
    fn chunks_hear_all_audio_in_order_on_the_grid_and_encode_no_more_than_allowed(
        audio in loudness(), rules in any_rules()
    ) {
        check_plan(&plan_chunks(&audio, &rules), audio.len(), &rules);
    }

    #[test]
    fn what_is_skipped_is_silence(
        audio in loudness(), rules in any_rules(), skip_frames in 1..20usize
    ) {
        let rules = ChunkRules { skip_frames: NonZeroUsize::new(skip_frames), ..rules };
        let chunks = plan_chunks(&audio, &rules);
        let mut searched = vec![false; audio.len()];
        chunks.iter().for_each(|chunk| searched[chunk.searched.clone()].fill(true));
        let loudest = audio.iter().copied().fold(0.0, f32::max);
        for (at, _) in searched.iter().enumerate().filter(|(_, searched)| !**searched) {
            prop_assert!(audio[at].abs() < loudest / 30.0 || audio[at] == 0.0, "sample {at}");
        }
    }
}
