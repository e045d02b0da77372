//! Joins the tokens of chunks into those of the file.
//!
//! In the overlap of a hard cut both chunks heard the same words, but for the last of the one and the
//! first of the other, which may be cut in two. The tokens are joined in a word on which both agree,
//! so that each word comes from a chunk that heard it whole.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::ops::Range;

use rnnt_decode::{Token, Vocabulary};

use crate::Chunk;

/// How many encoder frames apart two chunks may put one word, 0.4 s of Parakeet's. The tiny model
/// starts no word more than 0.36 s from the truth.
const TOLERANCE: usize = 5;

/// Joins what was heard in each chunk of a file, in their order and with frames counted from the start
/// of the file.
///
/// Behind a quiet cut tokens follow as they are: none is dropped, none merged with an equal one. At a
/// hard cut the overlap's words are aligned, equal tokens at nearly equal times, and the chunks are
/// joined behind a pair of them; where there is none, between two words near the overlap's middle. No
/// token lies before its forerunner: one that would is moved to its frame.
pub fn stitch(
    chunks: impl IntoIterator<Item = (Chunk, Vec<Token>)>,
    stride: NonZeroUsize,
    vocabulary: &Vocabulary,
) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::new();
    for (chunk, mut tokens) in chunks {
        if chunk.overlap > 0 {
            let start = chunk.heard.start / stride;
            let overlap = start..start + chunk.overlap.div_ceil(stride.get());
            let (before, after) = seam(&joined, &tokens, &overlap, vocabulary);
            joined.truncate(before);
            tokens.drain(..after);
        }
        let now = joined.last().map_or(0, |token| token.frame);
        for token in &mut tokens {
            token.frame = token.frame.max(now);
        }
        joined.append(&mut tokens);
    }
    joined
}

/// How many tokens of the chunks before a hard cut remain, and how many of the chunk after it do not.
fn seam(
    before: &[Token],
    after: &[Token],
    overlap: &Range<usize>,
    vocabulary: &Vocabulary,
) -> (usize, usize) {
    let middle = overlap.start.midpoint(overlap.end);
    // A word that one chunk puts just outside of the overlap may be inside it for the other.
    let wide = overlap.start.saturating_sub(TOLERANCE)..overlap.end + TOLERANCE;
    let left = words_within(before, &wide, vocabulary);
    let right = words_within(after, &wide, vocabulary);
    let mut pairs = align(&left, &right, |one, other| one.is_equal(other));
    if pairs.is_empty() {
        // The same words, then, of which one chunk or both misheard every one.
        pairs = align(&left, &right, |_, _| true);
    }
    let best = pairs.into_iter().min_by_key(|&(l, r)| {
        // Half a word may look like a whole one: the outermost are used last.
        let is_outermost = r == 0 || l + 1 == left.len();
        // A word that one chunk missed is kept if any pair keeps it: to lose one is worse than to
        // have one too many.
        let n_kept = l + right.len() - r;
        (
            is_outermost,
            Reverse(n_kept),
            left[l].start().abs_diff(middle),
        )
    });
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
struct Spoken<'a> {
    /// Place of its first token among those of the chunk.
    first: usize,
    tokens: &'a [Token],
}

impl Spoken<'_> {
    fn start(&self) -> usize {
        self.tokens[0].frame
    }

    fn is_equal(&self, other: &Self) -> bool {
        let ids = |word: &Self| word.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
        ids(self) == ids(other)
    }
}

/// The words that start in `frames`, in order.
fn words_within<'a>(
    tokens: &'a [Token],
    frames: &Range<usize>,
    vocabulary: &Vocabulary,
) -> Vec<Spoken<'a>> {
    let mut words = Vec::new();
    let mut first = tokens.partition_point(|token| token.frame < frames.start);
    // Of a word that started before, the rest is no word.
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
        words.push(Spoken {
            first,
            tokens: word,
        });
        first += word.len();
    }
    words
}

/// Pairs of words that match at nearly equal times, in order, as many and as near as can be.
fn align(
    left: &[Spoken],
    right: &[Spoken],
    matches: impl Fn(&Spoken, &Spoken) -> bool,
) -> Vec<(usize, usize)> {
    let score = |l: usize, r: usize| {
        let (one, other) = (&left[l], &right[r]);
        let apart = one.start().abs_diff(other.start());
        (apart <= TOLERANCE && matches(one, other)).then(|| 1 + TOLERANCE - apart)
    };
    // best[l][r]: of the first l words and the first r.
    let mut best = vec![vec![0; right.len() + 1]; left.len() + 1];
    for l in 0..left.len() {
        for r in 0..right.len() {
            let paired = score(l, r).map_or(0, |score| best[l][r] + score);
            best[l + 1][r + 1] = paired.max(best[l][r + 1]).max(best[l + 1][r]);
        }
    }
    let mut pairs = Vec::new();
    let (mut l, mut r) = (left.len(), right.len());
    while l > 0 && r > 0 {
        // Of equally good pairs the later: the first words of the right may be half ones.
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

/// How many words to keep of the left and how many to drop of the right where no two are one: as many
/// are kept as one cut can keep, and the cut is near the overlap's middle.
fn most_words(left: &[Spoken], right: &[Spoken], overlap: &Range<usize>) -> (usize, usize) {
    let middle = overlap.start.midpoint(overlap.end);
    let parted = |cut: usize| {
        let starts_before = |word: &Spoken| word.start() < cut;
        (
            left.partition_point(starts_before),
            right.partition_point(starts_before),
        )
    };
    // Behind its last frame, too: a word may start there.
    let cuts = (overlap.start..=overlap.end).map(|cut| (parted(cut), cut));
    let best = cuts.min_by_key(|&((n_left, n_right), cut)| {
        (n_right as isize - n_left as isize, cut.abs_diff(middle))
    });
    best.map_or((left.len(), 0), |(parted, _)| parted)
}
