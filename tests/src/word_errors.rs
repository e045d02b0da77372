//! Word errors, and the words that two texts have in common.

use std::ops::AddAssign;

/// The difference between what was spoken and what was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words of the truth.
    pub n_spoken: usize,
    /// Words missing, added or replaced: the least number of them that explains the difference.
    pub n_errors: usize,
    /// Right words: place in the truth, place in what was heard.
    pub right: Vec<(usize, usize)>,
}

impl WordErrors {
    /// Errors per spoken word.
    pub fn rate(&self) -> f64 {
        self.n_errors as f64 / self.n_spoken as f64
    }
}

/// Sums errors; the places are those of one text alone and are dropped.
impl AddAssign<&Self> for WordErrors {
    fn add_assign(&mut self, other: &Self) {
        self.n_spoken += other.n_spoken;
        self.n_errors += other.n_errors;
        self.right.clear();
    }
}

/// Compares by Levenshtein's distance over words.
pub fn compare(spoken: &[&str], heard: &[&str]) -> WordErrors {
    let width = heard.len() + 1;
    // distance[s * width + h]: between the first s words spoken and the first h heard.
    let mut distance: Vec<usize> = (0..width).collect();
    for s in 1..=spoken.len() {
        distance.push(s);
        for h in 1..width {
            let here = s * width + h;
            let replaced = usize::from(spoken[s - 1] != heard[h - 1]);
            let best = (distance[here - width - 1] + replaced)
                .min(distance[here - width] + 1)
                .min(distance[here - 1] + 1);
            distance.push(best);
        }
    }

    let mut right = Vec::new();
    let (mut s, mut h) = (spoken.len(), heard.len());
    let n_errors = distance[s * width + h];
    while s > 0 && h > 0 {
        let here = s * width + h;
        if spoken[s - 1] == heard[h - 1] && distance[here] == distance[here - width - 1] {
            right.push((s - 1, h - 1));
            (s, h) = (s - 1, h - 1);
        } else if distance[here] == distance[here - width - 1] + 1 {
            (s, h) = (s - 1, h - 1);
        } else if distance[here] == distance[here - width] + 1 {
            s -= 1;
        } else {
            h -= 1;
        }
    }
    right.reverse();
    WordErrors {
        n_spoken: spoken.len(),
        n_errors,
        right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spoken: &str, heard: &str, n_errors: usize, right: &[(usize, usize)]) {
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        let (spoken, heard) = (String::from(spoken).leak(), String::from(heard).leak());
        let errors = compare(&words(spoken), &words(heard));
        assert_eq!(
            (errors.n_errors, errors.right.as_slice()),
            (n_errors, right)
        );
    }

    #[test]
    fn equal_texts_have_no_error() {
        check("a b", "a b", 0, &[(0, 0), (1, 1)]);
    }

    #[test]
    fn a_word_missing_added_or_replaced_is_one_error() {
        check("a b c", "a c", 1, &[(0, 0), (2, 1)]);
        check("a c", "a b c", 1, &[(0, 0), (1, 2)]);
        check("a b c", "a x c", 1, &[(0, 0), (2, 2)]);
    }

    #[test]
    fn nothing_heard_is_every_word_missing() {
        check("a b c", "", 3, &[]);
        check("", "a", 1, &[]);
    }
}
