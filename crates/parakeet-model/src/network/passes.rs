//! Splits a batch into passes: runs of utterances that go through the encoder together.

use std::iter;

/// Splits utterances into runs whose samples, all padded to the longest of the run, are at most `limit`.
///
/// A run holds at least one utterance, however long it is. Padding brings each utterance to `min_samples` at
/// least.
pub(crate) fn passes<'a, 'b>(
    mut rest: &'a [&'b [f32]],
    min_samples: usize,
    limit: usize,
) -> impl Iterator<Item = &'a [&'b [f32]]> {
    iter::from_fn(move || {
        let mut longest = min_samples;
        let fits = |(n, samples): (usize, &&[f32])| {
            longest = longest.max(samples.len());
            n == 0 || longest.saturating_mul(n + 1) <= limit
        };
        let n = rest
            .iter()
            .enumerate()
            .map(fits)
            .take_while(|fits| *fits)
            .count();
        let (pass, later) = rest.split_at(n);
        rest = later;
        (n > 0).then_some(pass)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(utterances: &[&[f32]], limit: usize) -> Vec<Vec<usize>> {
        passes(utterances, 2, limit)
            .map(|pass| pass.iter().map(|it| it.len()).collect())
            .collect()
    }

    #[test]
    fn a_pass_holds_what_fits_and_one_utterance_at_least() {
        let silence = [0.0; 10];
        let utterances = [2, 3, 3, 10, 1, 0].map(|n| &silence[..n]);
        assert_eq!(lengths(&utterances, usize::MAX), [[2, 3, 3, 10, 1, 0]]);
        assert_eq!(
            lengths(&utterances, 9),
            [vec![2, 3, 3], vec![10], vec![1, 0]],
            "padding counts"
        );
        assert_eq!(lengths(&utterances, 3), [[2], [3], [3], [10], [1], [0]]);
        assert_eq!(lengths(&utterances, 0), [[2], [3], [3], [10], [1], [0]]);
    }
}
