//! The joint, and the greedy choice among its scores.

use cpu_linear::{exp, with_vectors};
use rnnt_decode::TokenId;

use super::linear::Linear;
use super::lstm::{sigmoid, tanh};
use super::weights::JointActivation;
use crate::transducer::EMISSION_LEN;

/// Scores symbols by the projections of encoder and predictor, which both have J numbers.
pub(super) struct Joint {
    /// Scores of tokens, blank and TDT's durations: (V + D, J), V with blank.
    scores: Linear,
    activation: JointActivation,
    blank: usize,
    /// TDT's durations in encoder frames; empty for RNNT.
    durations: Vec<f32>,
}

/// Frames that share one product: the rows that a CPU's tiles multiply at once.
const ROWS_PER_PRODUCT: usize = 32;

impl Joint {
    pub(super) fn new(
        scores: Linear,
        activation: JointActivation,
        blank: TokenId,
        durations: Vec<f32>,
    ) -> Self {
        Self {
            scores,
            activation,
            blank: blank as usize,
            durations,
        }
    }

    pub(super) fn has_tiles(&self) -> bool {
        self.scores.has_tiles()
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.scores.n_bytes()
    }

    /// J.
    pub(super) fn width(&self) -> usize {
        self.scores.n_in()
    }

    /// Writes token, duration and log-probability for each pair of projections, of encoder and predictor.
    ///
    /// The first of equal scores wins. RNNT's duration is 0 for a token and 1 for blank; TDT's is the
    /// best-scored duration, independent of the token.
    pub(super) fn score<'a>(
        &self,
        mut frames: impl Iterator<Item = (&'a [f32], &'a [f32])>,
        emissions: &mut [[f32; EMISSION_LEN]],
    ) {
        let n_scores = self.scores.n_out();
        let n_rows = ROWS_PER_PRODUCT.min(emissions.len());
        let mut rows = Vec::with_capacity(n_rows * self.width());
        let mut logits = vec![0.0; n_rows * n_scores];
        for emissions in emissions.chunks_mut(ROWS_PER_PRODUCT) {
            rows.clear();
            for (encoded, predicted) in frames.by_ref().take(emissions.len()) {
                self.activate(encoded, predicted, &mut rows);
            }
            let logits = &mut logits[..emissions.len() * n_scores];
            self.scores.multiply_many(&rows, logits);
            with_vectors(|| {
                for (emission, logits) in emissions.iter_mut().zip(logits.chunks(n_scores)) {
                    *emission = self.best_symbol(logits);
                }
            });
        }
    }

    /// Appends a row of the product to `rows`.
    fn activate(&self, encoded: &[f32], predicted: &[f32], rows: &mut Vec<f32>) {
        let sums = encoded.iter().zip(predicted).map(|(x, y)| x + y);
        match self.activation {
            // Not `f32::max`, which would make 0 of NaN and so hide an overflow.
            JointActivation::Relu => rows.extend(sums.map(|x| if x < 0.0 { 0.0 } else { x })),
            JointActivation::Sigmoid => rows.extend(sums.map(sigmoid)),
            JointActivation::Tanh => rows.extend(sums.map(tanh)),
        }
    }

    #[inline(always)]
    fn best_symbol(&self, logits: &[f32]) -> [f32; EMISSION_LEN] {
        let (symbols, durations) = logits.split_at(self.blank + 1);
        let (token, best) = largest(symbols);
        let duration = if durations.is_empty() {
            f32::from(u8::from(token == self.blank))
        } else {
            self.durations[largest(durations).0]
        };
        // The log-softmax of the best symbol: the best logit cancels out. `largest` skips NaN, but the sum
        // does not, so a NaN among the logits makes the log-probability NaN.
        let total = sum_of(symbols, |x| exp(x - best));
        [token as f32, duration, -total.ln()]
    }
}

/// Index and value of the largest number; the first index of equals.
///
/// Sixteen numbers are compared side by side, so that the compiler uses vectors.
#[inline(always)]
fn largest(numbers: &[f32]) -> (usize, f32) {
    let larger = |a: f32, b: f32| if a < b { b } else { a };
    let (parts, rest) = numbers.as_chunks::<16>();
    let mut largest = [f32::NEG_INFINITY; 16];
    for part in parts {
        for (largest, &x) in largest.iter_mut().zip(part) {
            *largest = larger(*largest, x);
        }
    }
    let largest = largest.into_iter().chain(rest.iter().copied());
    let largest = largest.fold(f32::NEG_INFINITY, larger);
    let index = numbers.iter().position(|&x| x == largest);
    (index.unwrap_or(0), largest)
}

/// The sum of a function of numbers, sixteen side by side as in [`largest`].
#[inline(always)]
fn sum_of(numbers: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    let (parts, rest) = numbers.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for part in parts {
        for (sum, &x) in sums.iter_mut().zip(part) {
            *sum += function(x);
        }
    }
    let rest = rest.iter().map(|&x| function(x));
    sums.into_iter().chain(rest).sum()
}
