//! Parts a row of words into sentence-like runs.

use std::cmp::Reverse;

use rnnt_decode::Word;

/// A sentence-like run of words.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The first word's start, in seconds from the start of the file.
    pub start: f64,
    /// The last word's end, in seconds from the start of the file.
    pub end: f64,
    /// The words joined by one space.
    pub text: String,
    /// At least one.
    pub words: Vec<Word>,
}

/// Parts words into segments: every word is in exactly one, and their order is kept.
///
/// A segment ends after a sentence's end and before a pause. One that is then longer than
/// [`SegmentRules::max_length`] is cut at its widest gap (of equals, the one nearest its middle),
/// and its halves again; a single word is never cut. Gaps count in whole milliseconds, since the
/// seconds of two equal gaps differ in their last bits and the default pause is a whole number of
/// encoder frames.
pub fn segment(words: &[Word], rules: &SegmentRules) -> Vec<Segment> {
    let ends = |before: &Word, after: &Word| {
        (rules.at_sentence_ends && ends_sentence(&before.text))
            || gap_ms(before, after) >= ms(rules.pause)
    };
    let mut segments = Vec::new();
    for run in words.chunk_by(|before, after| !ends(before, after)) {
        let mut pending = vec![run];
        while let Some(run) = pending.pop() {
            match cut(run, rules) {
                Some(cut) => pending.extend([&run[cut..], &run[..cut]]),
                None => segments.push(Segment::new(run)),
            }
        }
    }
    segments
}

/// Where segments end.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRules {
    /// Whether a word that ends with `.`, `!` or `?` ends a segment; an abbreviation is such a word
    /// too, as it is for NeMo. Nothing to a model that writes no punctuation.
    pub at_sentence_ends: bool,
    /// Shortest silence between two words that ends a segment, in seconds: 0 or more, infinite for
    /// never.
    pub pause: f64,
    /// Longest segment of more than one word, in seconds: 0 or more, infinite for any.
    pub max_length: f64,
}

/// Why rules cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentRulesError {
    /// The pause is negative or no number.
    #[error("segment pause is {seconds} s, expected 0 or more")]
    Pause {
        /// What was asked for.
        seconds: f64,
    },

    /// The length is negative or no number.
    #[error("segment length is {seconds} s, expected 0 or more")]
    MaxLength {
        /// What was asked for.
        seconds: f64,
    },
}

impl Default for SegmentRules {
    fn default() -> Self {
        Self {
            at_sentence_ends: true,
            pause: 0.8,
            max_length: 20.0,
        }
    }
}

impl SegmentRules {
    /// Checks rules that come from a user. [`segment`] takes any: a negative length or none is 0.
    ///
    /// # Errors
    ///
    /// [`SegmentRulesError`] if a length of time is negative or no number: ask for another.
    pub fn check(&self) -> Result<(), SegmentRulesError> {
        let is_length = |seconds: f64| seconds >= 0.0;
        if !is_length(self.pause) {
            return Err(SegmentRulesError::Pause {
                seconds: self.pause,
            });
        }
        if !is_length(self.max_length) {
            return Err(SegmentRulesError::MaxLength {
                seconds: self.max_length,
            });
        }
        Ok(())
    }
}

impl Segment {
    fn new(words: &[Word]) -> Self {
        Self {
            start: words[0].start,
            end: words[words.len() - 1].end,
            text: rnnt_decode::text(words),
            words: words.to_vec(),
        }
    }
}

/// Whether a word closes a sentence, also inside quotes or brackets. Only its last mark counts, so
/// "3.5" does not.
fn ends_sentence(word: &str) -> bool {
    let closing = ['"', '\'', ')', ']', '}', '»', '”', '’'];
    word.trim_end_matches(closing).ends_with(['.', '!', '?'])
}

/// Index of the word that starts the second half of a run that is too long; a single word has none.
fn cut(words: &[Word], rules: &SegmentRules) -> Option<usize> {
    let (start, end) = (words[0].start, words[words.len() - 1].end);
    if ms(end - start) <= ms(rules.max_length) {
        return None;
    }
    let from_middle = |at: usize| ms((words[at].start - (start + end) / 2.0).abs());
    let widest = |at: &usize| {
        (
            Reverse(gap_ms(&words[at - 1], &words[*at])),
            from_middle(*at),
        )
    };
    (1..words.len()).min_by_key(widest)
}

fn gap_ms(before: &Word, after: &Word) -> i64 {
    ms(after.start - before.end)
}

/// Whole milliseconds; infinite seconds give the largest number, and NaN gives 0.
fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
