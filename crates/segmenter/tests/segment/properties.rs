//! Properties of the segments of any words.

use proptest::prelude::*;
use rnnt_decode::{Word, text};
use segmenter::{SegmentRules, TextLimit, segment};

use crate::word;

prop_compose! {
    /// Words that do not overlap. Some are long, some are equal to others, and some end sentences.
    fn words()(
        steps in prop::collection::vec(
            (prop::sample::select(vec!["a", "an", "go.", "so?\""]), 0..14usize, 0..60usize),
            0..150,
        )
    ) -> Vec<Word> {
        let mut frame = 0;
        let seconds = |frame: usize| (frame * 1280) as f64 / 16_000.0;
        let words = steps.into_iter().map(|(text, gap, length)| {
            let start = frame + gap;
            frame = start + length;
            word(text, seconds(start), seconds(frame))
        });
        words.collect()
    }
}

proptest! {
    #[test]
    fn every_word_is_in_one_segment_and_their_order_is_kept(words in words()) {
        let segments = segment(&words, &SegmentRules::default());
        let kept: Vec<_> = segments.into_iter().flat_map(|segment| segment.words).collect();
        prop_assert_eq!(kept, words);
    }

    #[test]
    fn a_segment_is_what_its_words_are(words in words()) {
        for segment in segment(&words, &SegmentRules::default()) {
            prop_assert_eq!(Some(segment.start), segment.words.first().map(|word| word.start));
            prop_assert_eq!(Some(segment.end), segment.words.last().map(|word| word.end));
            prop_assert_eq!(segment.text, text(&segment.words));
        }
    }

    #[test]
    fn segments_lie_in_order_and_do_not_overlap(words in words()) {
        let segments = segment(&words, &SegmentRules::default());
        let times: Vec<_> = segments.iter().flat_map(|it| [it.start, it.end]).collect();
        prop_assert!(times.is_sorted(), "{times:?}");
    }

    #[test]
    fn no_segment_holds_a_pause_a_sentence_end_or_too_much(words in words()) {
        for segment in segment(&words, &SegmentRules::default()) {
            for pair in segment.words.windows(2) {
                prop_assert!(!pair[0].text.contains(['.', '?']), "{segment:?}");
                // Nine frames are 0.72 s and ten frames are 0.80 s, on both sides of the default pause.
                prop_assert!(pair[1].start - pair[0].end < 0.79, "{segment:?}");
            }
            let is_short = segment.end - segment.start < 20.001;
            prop_assert!(is_short || segment.words.len() == 1, "{segment:?}");
        }
    }

    #[test]
    fn a_subtitle_of_a_segment_shows_every_word(words in words(), max_chars in 1..90usize) {
        let limit = TextLimit { max_chars, max_lines: 2, max_line_chars: 8 };
        let rules = SegmentRules { max_text: Some(limit), ..SegmentRules::default() };
        let segments = segment(&words, &rules);
        for segment in &segments {
            let mut lines = vec![String::new()];
            for word in &segment.words {
                let line = lines.last_mut().expect("there is one");
                if line.is_empty() {
                    line.push_str(&word.text);
                } else if line.len() + 1 + word.text.len() <= 8 {
                    *line = format!("{line} {}", word.text);
                } else {
                    lines.push(word.text.clone());
                }
            }
            let fits = segment.text.len() <= max_chars && lines.len() <= 2;
            prop_assert!(fits || segment.words.len() == 1, "{lines:?}");
        }
        let kept: Vec<_> = segments.into_iter().flat_map(|segment| segment.words).collect();
        prop_assert_eq!(kept, words);
    }

    #[test]
    fn without_a_cap_a_segment_ends_at_a_sentence_or_a_pause_alone(words in words()) {
        let rules = SegmentRules { max_length: f64::INFINITY, ..SegmentRules::default() };
        for pair in segment(&words, &rules).windows(2) {
            let is_sentence = pair[0].text.ends_with(['.', '"']);
            let is_pause = pair[1].start - pair[0].end > 0.79;
            prop_assert!(is_sentence || is_pause, "{pair:?}");
        }
    }
}
