//! Counts word errors, and finds the words that two texts have in common.

use std::ops::AddAssign;

/// The differences between the reference and the hypothesis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Number of words of the reference.
    pub n_spoken: usize,
    /// The least number of deletions, insertions and substitutions that turns the reference into the
    /// hypothesis.
    pub n_errors: usize,
    /// Equal words: index in the reference, index in the hypothesis.
    pub right: Vec<(usize, usize)>,
    /// Deleted words: indices in the reference.
    pub missing: Vec<usize>,
    /// Inserted words: indices in the hypothesis.
    pub added: Vec<usize>,
}

impl WordErrors {
    /// Errors per spoken word.
    pub fn rate(&self) -> f64 {
        self.n_errors as f64 / self.n_spoken as f64
    }
}

/// Adds the counts. The indices are cleared, because they refer to one text only.
impl AddAssign<&Self> for WordErrors {
    fn add_assign(&mut self, other: &Self) {
        self.n_spoken += other.n_spoken;
        self.n_errors += other.n_errors;
        self.right.clear();
        self.missing.clear();
        self.added.clear();
    }
}

/// Compares two texts by the Levenshtein distance over words.
pub fn compare(spoken: &[&str], hypothesis: &[&str]) -> WordErrors {
    let width = hypothesis.len() + 1;
    // distance[s * width + h] is the distance between the first s words of `spoken` and the first h of
    // `hypothesis`.
    let mut distance: Vec<usize> = (0..width).collect();
    for s in 1..=spoken.len() {
        distance.push(s);
        for h in 1..width {
            let here = s * width + h;
            let replaced = usize::from(spoken[s - 1] != hypothesis[h - 1]);
            let best = (distance[here - width - 1] + replaced)
                .min(distance[here - width] + 1)
                .min(distance[here - 1] + 1);
            distance.push(best);
        }
    }

    let (mut right, mut missing, mut added) = (Vec::new(), Vec::new(), Vec::new());
    let (mut s, mut h) = (spoken.len(), hypothesis.len());
    let n_errors = distance[s * width + h];
    while s > 0 && h > 0 {
        let here = s * width + h;
        if spoken[s - 1] == hypothesis[h - 1] && distance[here] == distance[here - width - 1] {
            right.push((s - 1, h - 1));
            (s, h) = (s - 1, h - 1);
        } else if distance[here] == distance[here - width - 1] + 1 {
            (s, h) = (s - 1, h - 1);
        } else if distance[here] == distance[here - width] + 1 {
            s -= 1;
            missing.push(s);
        } else {
            h -= 1;
            added.push(h);
        }
    }
    right.reverse();
    missing.extend((0..s).rev());
    missing.reverse();
    added.extend((0..h).rev());
    added.reverse();
    WordErrors {
        n_spoken: spoken.len(),
        n_errors,
        right,
        missing,
        added,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare_texts(spoken: &str, hypothesis: &str) -> WordErrors {
        let [spoken, hypothesis] =
            [spoken, hypothesis].map(|text| text.split_whitespace().collect::<Vec<_>>());
        compare(&spoken, &hypothesis)
    }

    #[test]
    fn equal_texts_have_no_error() {
        let errors = compare_texts("a b", "a b");
        assert_eq!(errors.n_errors, 0);
        assert_eq!(errors.right, [(0, 0), (1, 1)]);
    }

    #[test]
    fn a_word_missing_is_one_error() {
        let errors = compare_texts("a b c", "a c");
        assert_eq!(errors.n_errors, 1);
        assert_eq!(errors.right, [(0, 0), (2, 1)]);
        assert_eq!((errors.missing, errors.added), (vec![1], vec![]));
    }

    #[test]
    fn a_word_added_is_one_error() {
        let errors = compare_texts("a c", "a b c");
        assert_eq!(errors.n_errors, 1);
        assert_eq!(errors.right, [(0, 0), (1, 2)]);
        assert_eq!((errors.missing, errors.added), (vec![], vec![1]));
    }

    #[test]
    fn a_word_replaced_is_one_error_and_neither_missing_nor_added() {
        let errors = compare_texts("a b c", "a x c");
        assert_eq!(errors.n_errors, 1);
        assert_eq!(errors.right, [(0, 0), (2, 2)]);
        assert_eq!((errors.missing, errors.added), (vec![], vec![]));
    }

    #[test]
    fn nothing_heard_is_every_word_missing() {
        let errors = compare_texts("a b c", "");
        assert_eq!((errors.n_errors, errors.missing), (3, vec![0, 1, 2]));
        assert_eq!(errors.right, []);
        let errors = compare_texts("", "a");
        assert_eq!((errors.n_errors, errors.added), (1, vec![0]));
        assert_eq!(errors.right, []);
        assert_eq!(compare_texts("", "a b").added, [0, 1]);
        let errors = compare_texts("a b c", "c");
        assert_eq!((errors.n_errors, errors.missing), (2, vec![0, 1]));
    }
}
