//! Joins the tokens of chunks into the tokens of the file.
//!
//! Both chunks of a hard cut have the words of their overlap. Two of these words may be cut in two: the
//! last word of the earlier chunk and the first word of the later chunk. [`stitch`] changes from one chunk
//! to the other at a word on which both agree, so that each word comes from a chunk that holds all of it.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::ops::Range;

use rnnt_decode::{Token, Vocabulary};

use crate::chunk::Chunk;

/// Most encoder frames between the starts that two chunks give the same word: 0.4 s for Parakeet. The tiny
/// model starts no word more than 0.36 s from the truth.
const TOLERANCE: usize = 5;

/// Joins the tokens of a file's chunks into the tokens of the file.
///
/// `chunks` are in the order of time, and the frames of their tokens count from the start of the file.
///
/// - At a quiet cut the tokens of the next chunk are appended unchanged: no token is dropped, and equal
///   neighbours are not merged.
/// - At a hard cut the words of the overlap are aligned: a pair has equal tokens at nearly equal times.
///   The chunks are joined at such a pair. If there is no pair, they are joined between two words near the
///   middle of the overlap.
///
/// The frames of the answer never decrease: a token with a smaller frame than the token before it gets
/// that token's frame.
pub fn stitch(
    chunks: impl IntoIterator<Item = (Chunk, Vec<Token>)>,
    stride: NonZeroUsize,
    vocabulary: &Vocabulary,
) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::new();
    for (chunk, mut tokens) in chunks {
        if chunk.overlap > 0 {
            let start = chunk.searched.start / stride;
            let overlap = start..start + chunk.overlap.div_ceil(stride.get());
            let (before, after) = join_point(&joined, &tokens, &overlap, vocabulary);
            joined.truncate(before);
            tokens.drain(..after);
        }
        // The chunks may give one word different frames, so a token behind the join point may have a smaller
        // frame than the token before the join point.
        let now = joined.last().map_or(0, |token| token.frame);
        for token in &mut tokens {
            token.frame = token.frame.max(now);
        }
        joined.append(&mut tokens);
    }
    joined
}

/// Finds the join point of a hard cut: where the tokens of one chunk end and those of the next chunk begin.
/// `before` are the joined tokens of the chunks before the cut, `after` those of the chunk behind the cut.
/// Returns how many tokens of `before` are kept, and how many of `after` are dropped.
fn join_point(
    before: &[Token],
    after: &[Token],
    overlap: &Range<usize>,
    vocabulary: &Vocabulary,
) -> (usize, usize) {
    let middle = overlap.start.midpoint(overlap.end);
    // One chunk may put a word just outside of the overlap that the other chunk puts inside it.
    let wide = overlap.start.saturating_sub(TOLERANCE)..overlap.end + TOLERANCE;
    let left = words_within(before, &wide, vocabulary);
    let right = words_within(after, &wide, vocabulary);
    let mut pairs = align(&left, &right, |one, other| one.is_equal(other));
    if pairs.is_empty() {
        // The chunks recognised every word of the overlap differently. It is still the same speech, so
        // words at nearly equal times are taken for the same word.
        pairs = align(&left, &right, |_, _| true);
    }
    let best = pairs.into_iter().min_by_key(|&(l, r)| {
        // Only the first word of the right and the last word of the left may be halves of words. Half a word
        // may equal a whole word, so a pair with one of them is the last choice.
        let is_outermost = r == 0 || l + 1 == left.len();
        // The join point decides which chunk's words are kept: the left ones before it, the right ones behind
        // it. If one chunk missed a word, some join points keep the word and others lose it. The join point that
        // keeps most words is taken, because a lost word is worse than a repeated one.
        let n_kept = l + right.len() - r;
        (
            is_outermost,
            Reverse(n_kept),
            left[l].start().abs_diff(middle),
        )
    });
    // Both chunks have the word of the pair. The chunk in whose half of the overlap the word starts has more
    // context around it, so the word comes from that chunk.
    let (n_left, n_right) = match best {
        Some((l, r)) if left[l].start() < middle => (l + 1, r + 1),
        Some((l, r)) => (l, r),
        None => most_words(&left, &right, overlap),
    };
    (
        left.get(n_left).map_or(before.len(), |word| word.first),
        match (right.get(n_right), right.last()) {
            (Some(word), _) => word.first,
            (None, Some(word)) => word.first + word.tokens.len(),
            (None, None) => 0,
        },
    )
}

/// One word of a chunk.
struct WordTokens<'a> {
    /// Index of the word's first token in the tokens of the chunk.
    first: usize,
    tokens: &'a [Token],
}

impl WordTokens<'_> {
    fn start(&self) -> usize {
        self.tokens[0].frame
    }

    fn is_equal(&self, other: &Self) -> bool {
        let ids = |word: &Self| word.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
        ids(self) == ids(other)
    }
}

/// The words that start in `frames`, in the order of time.
fn words_within<'a>(
    tokens: &'a [Token],
    frames: &Range<usize>,
    vocabulary: &Vocabulary,
) -> Vec<WordTokens<'a>> {
    let mut words = Vec::new();
    let mut first = tokens.partition_point(|token| token.frame < frames.start);
    // Skips the rest of a word that started before `frames`.
    while first > 0
        && first < tokens.len()
        && !vocabulary.splits(&tokens[first - 1], &tokens[first])
    {
        first += 1;
    }
    for word in tokens[first..].chunk_by(|one, next| !vocabulary.splits(one, next)) {
        if word[0].frame >= frames.end {
            break;
        }
        words.push(WordTokens {
            first,
            tokens: word,
        });
        first += word.len();
    }
    words
}

/// Aligns two rows of words: pairs of words that match at nearly equal times, in the order of time.
///
/// As in a longest common subsequence, no two pairs cross. A pair scores between 1 and 1 + [`TOLERANCE`], the
/// more the nearer the two starts are, and the sum of the scores is the largest possible.
fn align(
    left: &[WordTokens],
    right: &[WordTokens],
    matches: impl Fn(&WordTokens, &WordTokens) -> bool,
) -> Vec<(usize, usize)> {
    let score = |l: usize, r: usize| {
        let (one, other) = (&left[l], &right[r]);
        let apart = one.start().abs_diff(other.start());
        (apart <= TOLERANCE && matches(one, other)).then(|| 1 + TOLERANCE - apart)
    };
    // best[l][r] is the largest sum of scores of the first l words of the left and the first r of the right.
    let mut best = vec![vec![0; right.len() + 1]; left.len() + 1];
    for l in 0..left.len() {
        for r in 0..right.len() {
            let paired = score(l, r).map_or(0, |score| best[l][r] + score);
            best[l + 1][r + 1] = paired.max(best[l][r + 1]).max(best[l + 1][r]);
        }
    }
    // Follows the largest sums back from the ends of both rows.
    let mut pairs = Vec::new();
    let (mut l, mut r) = (left.len(), right.len());
    while l > 0 && r > 0 {
        // Of equally good pairs the later one is taken, because the first word of the right may be half a
        // word.
        if score(l - 1, r - 1).is_some_and(|score| best[l][r] == best[l - 1][r - 1] + score) {
            (l, r) = (l - 1, r - 1);
            pairs.push((l, r));
        } else if best[l][r] == best[l - 1][r] {
            l -= 1;
        } else {
            r -= 1;
        }
    }
    pairs.reverse();
    pairs
}

/// Finds a join point between words where no two words make a pair. Returns how many words of the left are
/// kept, and how many of the right are dropped.
///
/// The join point is a frame: words that start before it come from the left, the others from the right. The
/// frame that keeps most words is taken, and of several such frames the one nearest to the overlap's middle.
fn most_words(left: &[WordTokens], right: &[WordTokens], overlap: &Range<usize>) -> (usize, usize) {
    let middle = overlap.start.midpoint(overlap.end);
    let parted = |cut: usize| {
        let starts_before = |word: &WordTokens| word.start() < cut;
        (
            left.partition_point(starts_before),
            right.partition_point(starts_before),
        )
    };
    // The join point may also lie behind the last frame of the overlap, so that a word on that frame comes
    // from the left.
    let cuts = (overlap.start..=overlap.end).map(|cut| (parted(cut), cut));
    let best = cuts.min_by_key(|&((n_left, n_right), cut)| {
        (n_right as isize - n_left as isize, cut.abs_diff(middle))
    });
    // There is at least one cut, so the default is never used.
    best.map_or((left.len(), 0), |(parted, _)| parted)
}
