//! Decides on which encoder frames a token sounds.

use std::borrow::Cow;

use crate::{Head, Token, Vocabulary};

/// How [`crate::words`] reads the frames of a hypothesis.
///
/// A punctuation mark has no sound, and a network may emit it long after the word that it closes, in the
/// pause. Under a rule with silent marks a word ends with its last token that is not a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenTimes {
    /// A token sounds on the frames that the search gives it, and so does a mark: NeMo's rule for RNNT.
    AsFound,
    /// As [`TokenTimes::AsFound`], but marks sound on no frame: NeMo's rule for TDT, and ours for CTC.
    SilentMarks,
    /// NeMo's rule for CTC, only for comparisons with NeMo: a token sounds from the first frame of the token
    /// before it to its own first frame, so that words touch and no pause shows. The first token sounds on
    /// one frame. A piece that begins with a mark sounds on none.
    NemoCtc,
}

impl From<Head> for TokenTimes {
    /// The rule for the tokens of this head.
    fn from(head: Head) -> Self {
        match head {
            Head::Rnnt => Self::AsFound,
            Head::Tdt | Head::Ctc => Self::SilentMarks,
        }
    }
}

impl TokenTimes {
    /// The tokens of a whole hypothesis with the frames on which they sound under this rule.
    pub(crate) fn retime<'a>(
        self,
        tokens: &'a [Token],
        vocabulary: &Vocabulary,
    ) -> Cow<'a, [Token]> {
        match self {
            Self::AsFound | Self::SilentMarks => tokens.into(),
            Self::NemoCtc => nemo_ctc(tokens, vocabulary).into(),
        }
    }

    /// The frame after the last frame on which a word sounds. `word` is the word's tokens after
    /// [`TokenTimes::retime`]; there is at least one.
    pub(crate) fn end(self, word: &[Token], vocabulary: &Vocabulary) -> usize {
        let sounds = |token: &&Token| self != Self::SilentMarks || !vocabulary.is_silent(token.id);
        // A word of marks alone ends with its first token: its later marks may lie far in the pause.
        let last = word.iter().rfind(sounds).unwrap_or(&word[0]);
        last.frame + last.duration as usize
    }
}

/// See [`TokenTimes::NemoCtc`].
fn nemo_ctc(tokens: &[Token], vocabulary: &Vocabulary) -> Vec<Token> {
    let mut end = tokens
        .first()
        .map_or(0, |token| token.frame.saturating_sub(1));
    let mut is_first = true;
    let retime = |&token: &Token| {
        let frame = end;
        end = token.frame;
        let is_silent = !is_first && vocabulary.begins_with_mark(token.id);
        is_first = false;
        Token {
            frame,
            duration: if is_silent { 0 } else { (end - frame) as u32 },
            ..token
        }
    };
    tokens.iter().map(retime).collect()
}
