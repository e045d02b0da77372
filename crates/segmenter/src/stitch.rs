//! Joins the words of chunks.

use rnnt_decode::Word;

/// Joins the words of each chunk, all in file time, into those of the file.
///
/// No word is dropped, none is merged with an equal neighbour. Where times of two chunks overlap,
/// a word is cut to the start of the next, and none starts before its forerunner.
pub fn stitch(chunks: Vec<Vec<Word>>) -> Vec<Word> {
    let mut words: Vec<Word> = chunks.into_iter().flatten().collect();
    for after in 1..words.len() {
        let (before, after) = words.split_at_mut(after);
        let (before, after) = (&mut before[before.len() - 1], &mut after[0]);
        after.start = after.start.max(before.start);
        after.end = after.end.max(after.start);
        before.end = before.end.min(after.start);
    }
    words
}
