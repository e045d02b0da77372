//! The pieces of a tokenizer, and the text of tokens.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::{Token, TokenId};

/// SentencePiece's mark for a space, U+2581.
const SPACE_MARK: char = '\u{2581}';

/// The pieces of a SentencePiece tokenizer, by token id. Blank is the id after the last piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    pieces: Vec<String>,
}

/// Why a list of pieces is not a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The list is empty.
    #[error("vocabulary has no pieces")]
    Empty,

    /// A piece has no text. SentencePiece writes no such piece, so the list is damaged.
    #[error("vocabulary piece {id} of {n_pieces} is empty")]
    EmptyPiece {
        /// Index of the first such piece.
        id: usize,
        /// Length of the list.
        n_pieces: usize,
    },

    /// There are so many pieces that blank does not fit a [`TokenId`].
    #[error("vocabulary has {n_pieces} pieces, expected at most {}", TokenId::MAX)]
    TooLarge {
        /// Length of the list.
        n_pieces: usize,
    },
}

impl Vocabulary {
    /// Checks a tokenizer's pieces, in the order of their ids and without blank.
    ///
    /// # Errors
    ///
    /// [`VocabularyError`] if the list is empty or too long, or if a piece is empty. The file that the list
    /// comes from is then damaged, or is not a vocabulary.
    pub fn new(pieces: Vec<String>) -> Result<Self, VocabularyError> {
        let n_pieces = pieces.len();
        if n_pieces == 0 {
            return Err(VocabularyError::Empty);
        }
        if TokenId::try_from(n_pieces).is_err() {
            return Err(VocabularyError::TooLarge { n_pieces });
        }
        if let Some(id) = pieces.iter().position(String::is_empty) {
            return Err(VocabularyError::EmptyPiece { id, n_pieces });
        }
        Ok(Self { pieces })
    }

    /// The id of blank: the number of pieces.
    pub fn blank(&self) -> TokenId {
        TokenId::try_from(self.pieces.len()).expect("checked at construction")
    }

    /// The piece of a token as the tokenizer writes it, for example `▁the`. `None` for blank and for larger
    /// ids.
    pub fn piece(&self, id: TokenId) -> Option<&str> {
        self.pieces
            .get(usize::try_from(id).ok()?)
            .map(String::as_str)
    }

    /// All pieces, by id.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// Whether one word ends and another begins between two neighbouring tokens.
    pub fn splits(&self, before: &Token, after: &Token) -> bool {
        let after = self.part(after.id);
        self.part(before.id) == Part::Unknown
            || after == Part::Unknown
            || matches!(after, Part::Text(text) if text.starts_with(SPACE_MARK))
    }

    /// Whether a piece has no sound: it is one punctuation mark, a bare space mark, or both.
    pub(crate) fn is_silent(&self, id: TokenId) -> bool {
        let Part::Text(text) = self.part(id) else {
            return false;
        };
        let mut chars = without_space_mark(text).chars();
        chars.next().is_none_or(is_punctuation) && chars.next().is_none()
    }

    /// Whether the first character of a piece after its space mark is a punctuation mark.
    pub(crate) fn begins_with_mark(&self, id: TokenId) -> bool {
        matches!(self.part(id), Part::Text(text)
            if without_space_mark(text).starts_with(is_punctuation))
    }

    /// The text of one word's tokens, without spaces around it and with single spaces inside. Empty for bare
    /// space marks.
    pub(crate) fn word(&self, tokens: &[Token]) -> String {
        // Bytes and not characters: a character may be spread over several byte pieces.
        let mut bytes = Vec::new();
        for token in tokens {
            match self.part(token.id) {
                Part::Text(text) => bytes.extend(text.replace(SPACE_MARK, " ").bytes()),
                Part::Byte(byte) => bytes.push(byte),
                // SentencePiece writes an unknown piece as " \u{2047} ". Its spaces stand at the word's
                // edges, where they are cut off, because an unknown piece is a word of its own.
                Part::Unknown => bytes.extend("\u{2047}".bytes()),
            }
        }
        // As SentencePiece does: each byte of invalid UTF-8 becomes a replacement character of its own.
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn part(&self, id: TokenId) -> Part<'_> {
        match self.piece(id) {
            None | Some("<unk>") => Part::Unknown,
            // SentencePiece's names for its control symbols, which it writes as nothing.
            Some("<s>" | "</s>" | "<pad>") => Part::Text(""),
            Some(piece) => match byte(piece) {
                // A whitespace byte parts words as a space does.
                Some(space) if space.is_ascii_whitespace() => Part::Text("\u{2581}"),
                Some(byte) => Part::Byte(byte),
                None => Part::Text(piece),
            },
        }
    }
}

/// What a piece adds to the text of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Byte(u8),
    Unknown,
}

/// A piece without its space mark.
fn without_space_mark(text: &str) -> &str {
    text.strip_prefix(SPACE_MARK).unwrap_or(text)
}

/// Whether a character is of Unicode's category P. NeMo defines punctuation so.
fn is_punctuation(char: char) -> bool {
    char.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The byte of a byte-fallback piece: 0xE2 for `<0xE2>`. `None` for every other piece.
fn byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hex {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}
