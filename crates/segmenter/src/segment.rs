//! Parts the words of a file into sentence-like runs.

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
    /// The words; at least one.
    pub words: Vec<Word>,
}

/// Parts words into segments. Every word is in one segment, and the words keep their order.
///
/// A segment ends after the last word of a sentence and before a pause. A segment longer than
/// [`SegmentRules::max_length`], or with more text than [`SegmentRules::max_text`], is cut at its widest gap,
/// and its parts are cut again if they are too long.
/// Of equally wide gaps the one nearest to the middle is taken. A single word is never cut.
///
/// Gaps are compared in whole milliseconds. The default pause is a whole number of encoder frames, and in
/// seconds two gaps of equal frames may differ in their last bits.
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
                // The first half is pushed last and so taken first: segments come in the order of time.
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
    /// Whether a word that ends with `.`, `!` or `?` ends a segment. An abbreviation also ends one, as in
    /// NeMo. The rule has no effect with a model that writes no punctuation.
    pub at_sentence_ends: bool,
    /// Shortest silence between two words that ends a segment, in seconds, 0 or more. Infinity: no silence
    /// does.
    pub pause: f64,
    /// Longest segment of more than one word, in seconds, 0 or more. Infinity: any length.
    pub max_length: f64,
    /// Most text of a segment of more than one word; `None`: any text.
    pub max_text: Option<TextLimit>,
}

/// How much text a segment may have. Text counts in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLimit {
    /// Most characters of the segment.
    pub max_chars: usize,
    /// Most lines of the segment when its text is wrapped between words.
    pub max_lines: usize,
    /// Most characters of such a line.
    pub max_line_chars: usize,
}

/// Why rules are not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentRulesError {
    /// The pause is negative or NaN.
    #[error("segment pause is {seconds} s, expected 0 or more")]
    Pause {
        /// The value of [`SegmentRules::pause`].
        seconds: f64,
    },

    /// The length is negative or NaN.
    #[error("segment length is {seconds} s, expected 0 or more")]
    MaxLength {
        /// The value of [`SegmentRules::max_length`].
        seconds: f64,
    },
}

impl Default for SegmentRules {
    fn default() -> Self {
        Self {
            at_sentence_ends: true,
            pause: 0.8,
            max_length: 20.0,
            max_text: None,
        }
    }
}

impl TextLimit {
    /// At most `max_chars` characters, in lines of any number and length.
    pub fn of_chars(max_chars: usize) -> Self {
        Self {
            max_chars,
            max_lines: usize::MAX,
            max_line_chars: usize::MAX,
        }
    }

    /// Whether the text of these words, joined by single spaces, keeps the limit.
    fn holds(&self, words: &[Word]) -> bool {
        let (mut n_chars, mut n_lines, mut line) = (0_usize, 1_usize, 0_usize);
        for word in words {
            let length = word.text.chars().count();
            let is_first = n_chars == 0;
            n_chars += length + usize::from(!is_first);
            if is_first || line + 1 + length > self.max_line_chars {
                // A word longer than a line fills several.
                let max = self.max_line_chars.max(1);
                n_lines += usize::from(!is_first) + length.saturating_sub(1) / max;
                line = length.saturating_sub(1) % max + 1;
            } else {
                line += 1 + length;
            }
        }
        n_chars <= self.max_chars && n_lines <= self.max_lines
    }
}

impl SegmentRules {
    /// Checks rules that come from a user. [`segment`] takes any rules: a negative value or NaN is 0 for it.
    ///
    /// # Errors
    ///
    /// [`SegmentRulesError`] if a value is negative or NaN. The user has to choose another one.
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

/// Whether a word ends a sentence. Quotes and brackets after the mark are ignored. Only the last mark of the
/// word counts, so that "3.5" does not end a sentence.
fn ends_sentence(word: &str) -> bool {
    let closing = ['"', '\'', ')', ']', '}', '»', '”', '’'];
    word.trim_end_matches(closing).ends_with(['.', '!', '?'])
}

/// Index of the word with which the second part of a run begins if the run is too long. `None` for a run that
/// is not too long, and for a single word.
fn cut(words: &[Word], rules: &SegmentRules) -> Option<usize> {
    let (start, end) = (words[0].start, words[words.len() - 1].end);
    let has_room = rules.max_text.is_none_or(|limit| limit.holds(words));
    if has_room && ms(end - start) <= ms(rules.max_length) {
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

/// Seconds as whole milliseconds. The cast saturates: infinity gives the largest number, NaN gives 0.
fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
