//! From which frame to which a token sounds.

use std::borrow::Cow;

use crate::{Head, Token, Vocabulary};

/// How [`crate::words`] reads the frames of a hypothesis.
///
/// Punctuation is seen and not heard, and a network may write it long after the word it closes, in
/// the pause. Where marks are silent, a word ends with its last token that is no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenTimes {
    /// A token sounds on the frames that the search gives it, marks too: NeMo's rule for RNNT.
    AsFound,
    /// The same, but marks sound on no frame: NeMo's rule for TDT, and ours for CTC.
    SilentMarks,
    /// NeMo's rule for CTC, to compare with NeMo and for nothing else: a token sounds from its
    /// forerunner's first frame to its own, so words touch and no pause ever shows. The first token
    /// has one frame; a piece that begins with a mark has none.
    NemoCtc,
}

impl From<Head> for TokenTimes {
    /// The rule that suits what a head's search gives.
    fn from(head: Head) -> Self {
        match head {
            Head::Rnnt => Self::AsFound,
            Head::Tdt | Head::Ctc => Self::SilentMarks,
        }
    }
}

impl TokenTimes {
    /// The tokens of a whole hypothesis with the frames they are said to sound on.
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

    /// The frame after the last one on which a word of these retimed tokens sounds; there is at
    /// least one.
    pub(crate) fn end(self, word: &[Token], vocabulary: &Vocabulary) -> usize {
        let sounds = |token: &&Token| self != Self::SilentMarks || !vocabulary.is_silent(token.id);
        let last = word.iter().rfind(sounds).unwrap_or(&word[0]);
        last.frame + last.duration as usize
    }
}

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
