//! Properties of the words of any tokens.

use proptest::prelude::*;
use rnnt_decode::{FrameClock, Hypothesis, Token, TokenId, TokenTimes, Vocabulary, text, words};

use crate::spelling::in_words;
use crate::{clock, words_of};

const PIECES: [&str; 10] = [
    "▁",
    "▁the",
    "▁a",
    "s",
    "'",
    "<unk>",
    "▁of▁it",
    "ing",
    ".",
    "▁?",
];

prop_compose! {
    /// A hypothesis of [`PIECES`] whose frames do not decrease.
    fn hypotheses()(
        steps in prop::collection::vec((0..PIECES.len(), 0..6usize, 0..6u32, -5f32..=0.0), 0..40)
    ) -> Hypothesis {
        let mut frame = 0;
        let tokens = steps.into_iter().map(|(id, step, duration, log_prob)| {
            frame += step;
            Token { id: id as TokenId, frame, duration, log_prob }
        });
        Hypothesis { tokens: tokens.collect() }
    }
}

fn times() -> impl Strategy<Value = TokenTimes> {
    prop::sample::select(vec![
        TokenTimes::AsFound,
        TokenTimes::SilentMarks,
        TokenTimes::NemoCtc,
    ])
}

proptest! {
    #[test]
    fn words_lie_in_order_inside_the_audio(
        hypothesis in hypotheses(),
        start in 0..100_000usize,
        n_samples in 0..200_000usize,
        times in times(),
    ) {
        let vocabulary = Vocabulary::new(PIECES.map(str::to_owned).into()).expect("a vocabulary");
        let clock = FrameClock { samples: start..start + n_samples, ..clock(0) };
        let mut now = clock.seconds(start);
        for word in words(&hypothesis, &vocabulary, &clock, times) {
            prop_assert!(now <= word.start && word.start <= word.end, "{now} {word:?}");
            prop_assert!(word.confidence.is_some_and(|c| (0.0..=1.0).contains(&c)), "{word:?}");
            now = word.end;
        }
        prop_assert!(now <= clock.seconds(start + n_samples));
    }

    #[test]
    fn the_text_is_the_pieces_with_spaces_for_their_marks(hypothesis in hypotheses()) {
        let vocabulary = Vocabulary::new(PIECES.map(str::to_owned).into()).expect("a vocabulary");
        let pieces: String = hypothesis.tokens.iter().map(|t| PIECES[t.id as usize]).collect();
        let spaced = pieces.replace('▁', " ").replace("<unk>", " ⁇ ");
        let words = words(&hypothesis, &vocabulary, &clock(160_000), TokenTimes::AsFound);
        prop_assert_eq!(text(&words), in_words(&spaced));
    }

    #[test]
    fn any_text_comes_back_from_its_bytes(expected in "\\PC{1,20}") {
        let pieces: Vec<_> = expected.bytes().map(|byte| format!("<0x{byte:02X}>@1")).collect();
        let words = words_of(&pieces.join(" "), &clock(160_000));
        prop_assert_eq!(in_words(&text(&words)), in_words(&expected));
    }
}
