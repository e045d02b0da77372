//! The search in windows equals a naive search, whatever the window and the other utterances are.

use std::ops::Range;

use proptest::prelude::*;
use rnnt_decode::{Emission, Head, Hypothesis, SearchRules, TokenId, Window};

use crate::scripted::{BLANK, Scripted, fixed};

/// NeMo's `max_symbols`, the default of [`SearchRules`].
const MAX_TOKENS_PER_FRAME: usize = 10;

proptest! {
    #[test]
    fn a_search_in_windows_equals_one_frame_by_frame(
        head in heads(), voices in voices(), rules in windows()
    ) {
        let network = speech(head, &voices);
        let naive: Vec<_> =
            (0..voices.len()).map(|i| network.naive(i, MAX_TOKENS_PER_FRAME)).collect();
        prop_assert_eq!(network.search(&rules).hypotheses, naive);
    }

    #[test]
    fn an_utterance_decodes_alone_as_in_a_batch(
        head in heads(), voices in voices(), rules in windows()
    ) {
        let batch = speech(head, &voices).search(&rules).hypotheses;
        prop_assert_eq!(batch.len(), voices.len());
        for (voice, hypothesis) in voices.into_iter().zip(batch) {
            let alone = speech(head, &[voice]).search(&rules).hypotheses;
            prop_assert_eq!(alone, [hypothesis]);
        }
    }

    #[test]
    fn the_order_of_a_batch_changes_nothing(
        head in heads(),
        (voices, shuffled) in voices().prop_flat_map(|voices| {
            let order = Just((0..voices.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(voices), order)
        }),
        rules in windows(),
    ) {
        let hypotheses = speech(head, &voices).search(&rules).hypotheses;
        let reordered: Vec<_> = shuffled.iter().map(|&i| voices[i].clone()).collect();
        let expected: Vec<_> = shuffled.iter().map(|&i| hypotheses[i].clone()).collect();
        prop_assert_eq!(speech(head, &reordered).search(&rules).hypotheses, expected);
    }

    #[test]
    fn a_part_is_searched_as_if_it_were_the_whole_utterance(
        head in heads(), parts in parts(), rules in windows()
    ) {
        let (voices, frames): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let within = speech(head, &voices).search_within(&frames, &rules).hypotheses;
        prop_assert_eq!(within.len(), voices.len());
        for (Hypothesis { tokens }, (voice, frames)) in within.iter().zip(voices.iter().zip(&frames)) {
            prop_assert!(tokens.iter().all(|token| frames.contains(&token.frame)));
            // A part ends with its utterance.
            let end = frames.end.min(voice.n_frames);
            let part = Voice {
                first: voice.first + frames.start,
                n_frames: end.saturating_sub(frames.start),
                ..voice.clone()
            };
            let Hypothesis { tokens: mut alone } = speech(head, &[part]).naive(0, MAX_TOKENS_PER_FRAME);
            alone.iter_mut().for_each(|token| token.frame += frames.start);
            prop_assert_eq!(tokens, &alone);
        }
    }

    #[test]
    fn frames_of_a_hypothesis_never_go_back_and_lie_inside_the_utterance(
        head in heads(), voices in voices()
    ) {
        let hypotheses = speech(head, &voices).search(&SearchRules::default()).hypotheses;
        for (voice, Hypothesis { tokens }) in voices.iter().zip(hypotheses) {
            prop_assert!(tokens.is_sorted_by_key(|token| token.frame));
            prop_assert!(tokens.iter().all(|token| token.frame < voice.n_frames));
        }
    }
}

/// An utterance of random tokens, which the seed decides.
#[derive(Debug, Clone)]
struct Voice {
    seed: u64,
    /// Index of the utterance's first frame among the frames of the seed.
    first: usize,
    n_frames: usize,
    /// Number of tokens in 100 emissions.
    rate: u64,
}

fn speech(
    head: Head,
    voices: &[Voice],
) -> Scripted<impl Fn(usize, usize, &[TokenId]) -> Emission + use<>> {
    let n_frames = voices.iter().map(|voice| voice.n_frames).collect();
    let voices = voices.to_vec();
    let emit = move |utterance: usize, frame: usize, history: &[TokenId]| {
        let Voice {
            seed, first, rate, ..
        } = voices[utterance];
        // An emission depends on the number of tokens so far and on the last four, so that a wrong predictor
        // state shows. All tokens would make the script slow.
        let recent = history.iter().rev().take(4);
        let n_said = history.len() as u64;
        let past = recent.fold(n_said, |past, &token| mix(past, token.into()));
        let chance = mix(mix(seed, (first + frame) as u64), past);
        let is_blank = chance % 100 >= rate;
        // Only three tokens, so that neighbours are often equal.
        let token = (chance / 100 % 3) as TokenId;
        Emission {
            token: if is_blank { BLANK } else { token },
            duration: match head {
                Head::Rnnt => is_blank.into(),
                Head::Tdt => (chance / 1000 % 5) as u32,
                Head::Ctc => 1,
            },
            log_prob: -((chance / 10_000 % 1000) as f32) / 1000.0,
        }
    };
    Scripted::new(head, n_frames, emit)
}

/// A hash of two numbers, by the finaliser of SplitMix64 (Steele et al. 2014).
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(b);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn heads() -> impl Strategy<Value = Head> {
    prop_oneof![Just(Head::Rnnt), Just(Head::Tdt), Just(Head::Ctc)]
}

fn voices() -> impl Strategy<Value = Vec<Voice>> {
    prop::collection::vec(voice(), 0..7)
}

/// Voices with the range of frames to search. Some ranges end after their utterance.
fn parts() -> impl Strategy<Value = Vec<(Voice, Range<usize>)>> {
    let part = (voice(), 0..90usize, 0..90usize);
    let part = part.prop_map(|(voice, start, length)| (voice, start..start + length));
    prop::collection::vec(part, 0..7)
}

fn voice() -> impl Strategy<Value = Voice> {
    let rate = prop_oneof![Just(0), Just(3), Just(30), Just(70), Just(100)];
    (any::<u64>(), prop_oneof![0..4usize, 0..90usize], rate).prop_map(|(seed, n_frames, rate)| {
        Voice {
            seed,
            first: 0,
            n_frames,
            rate,
        }
    })
}

fn windows() -> impl Strategy<Value = SearchRules> {
    let adaptive = (0..5000u32).prop_map(|call_cost| SearchRules {
        window: Window::Adaptive { call_cost },
        ..SearchRules::default()
    });
    prop_oneof![
        Just(fixed(1)),
        Just(fixed(2)),
        Just(fixed(7)),
        Just(fixed(64)),
        Just(SearchRules::default()),
        adaptive,
    ]
}
