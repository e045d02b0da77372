//! Tests of the lists of pieces that are a vocabulary, and of those that are not.

use rnnt_decode::{Vocabulary, VocabularyError};

fn vocabulary(pieces: &[&str]) -> Result<Vocabulary, VocabularyError> {
    Vocabulary::new(pieces.iter().map(|&piece| piece.to_owned()).collect())
}

#[test]
fn blank_is_the_id_after_the_last_piece() {
    let vocabulary = vocabulary(&["<unk>", "▁the"]).expect("a vocabulary");
    assert_eq!(vocabulary.blank(), 2);
    assert_eq!(vocabulary.piece(1), Some("▁the"));
    assert_eq!(vocabulary.piece(2), None);
}

#[test]
fn a_vocabulary_without_pieces_is_refused() {
    assert_eq!(vocabulary(&[]), Err(VocabularyError::Empty));
}

#[test]
fn an_empty_piece_is_refused_by_its_place() {
    let error = vocabulary(&["<unk>", "", "▁a"]).expect_err("a hole");
    assert_eq!(error, VocabularyError::EmptyPiece { id: 1, n_pieces: 3 });
    assert_eq!(error.to_string(), "vocabulary piece 1 of 3 is empty");
}
