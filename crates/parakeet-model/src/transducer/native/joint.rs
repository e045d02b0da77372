//! The joint, and the greedy choice among what it scores.

use cpu_linear::{exp, with_vectors};
use rnnt_decode::TokenId;
use tch::TchError;

use super::matrix::Matrix;
use super::predictor::{sigmoid, tanh};
use crate::transducer::EMISSION_LEN;

pub(super) struct Joint {
    /// Scores of symbols, and of TDT's durations: (V + 1 + D, J).
    classes: Matrix,
    activation: Activation,
    blank: usize,
    /// TDT's, in encoder frames; none for RNNT.
    durations: Vec<f32>,
}

/// What is between projections and scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Relu,
    Sigmoid,
    Tanh,
}

impl Activation {
    /// By NeMo's name.
    pub(super) fn named(name: &str) -> Result<Self, TchError> {
        match name {
            "relu" => Ok(Self::Relu),
            "sigmoid" => Ok(Self::Sigmoid),
            "tanh" => Ok(Self::Tanh),
            _ => Err(TchError::Kind(format!(
                "the joint's activation is {name}, expected relu, sigmoid or tanh"
            ))),
        }
    }
}

/// Frames that are scored at once: what a tile unit multiplies together.
const AT_ONCE: usize = 32;

impl Joint {
    pub(super) fn new(
        classes: Matrix,
        activation: Activation,
        blank: TokenId,
        durations: Vec<f32>,
    ) -> Self {
        Self {
            classes,
            activation,
            blank: blank as usize,
            durations,
        }
    }

    pub(super) fn is_on_tiles(&self) -> bool {
        self.classes.has_tiles()
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.classes.n_bytes()
    }

    /// J.
    pub(super) fn width(&self) -> usize {
        self.classes.n_in()
    }

    /// Token, duration and log-probability for each pair of projections (J), of encoder and predictor.
    ///
    /// The first of equals wins. RNNT's duration is 0 for a token and 1 for blank, TDT's the best on its own,
    /// whatever the token.
    pub(super) fn score<'a>(
        &self,
        mut frames: impl Iterator<Item = (&'a [f32], &'a [f32])>,
        scores: &mut [[f32; EMISSION_LEN]],
    ) {
        let n_classes = self.classes.n_out();
        let mut rows = Vec::with_capacity(AT_ONCE.min(scores.len()) * self.width());
        let mut logits = vec![0.0; AT_ONCE.min(scores.len()) * n_classes];
        for scores in scores.chunks_mut(AT_ONCE) {
            rows.clear();
            for (encoded, predicted) in frames.by_ref().take(scores.len()) {
                self.activate(encoded, predicted, &mut rows);
            }
            let logits = &mut logits[..scores.len() * n_classes];
            self.classes.multiply_many(&rows, logits);
            with_vectors(|| {
                for (score, logits) in scores.iter_mut().zip(logits.chunks(n_classes)) {
                    *score = self.choose(logits);
                }
            });
        }
    }

    fn activate(&self, encoded: &[f32], predicted: &[f32], rows: &mut Vec<f32>) {
        let sums = encoded.iter().zip(predicted).map(|(x, y)| x + y);
        match self.activation {
            Activation::Relu => rows.extend(sums.map(|x| if x < 0.0 { 0.0 } else { x })),
            Activation::Sigmoid => rows.extend(sums.map(sigmoid)),
            Activation::Tanh => rows.extend(sums.map(tanh)),
        }
    }

    #[inline(always)]
    fn choose(&self, logits: &[f32]) -> [f32; EMISSION_LEN] {
        let (symbols, durations) = logits.split_at(self.blank + 1);
        let (token, best) = largest(symbols);
        let duration = if durations.is_empty() {
            f32::from(u8::from(token == self.blank))
        } else {
            self.durations[largest(durations).0]
        };
        // One that is no number is lost by `largest`, and found here.
        let total = sum_of(symbols, |x| exp(x - best));
        [token as f32, duration, -total.ln()]
    }
}

/// The first of the largest numbers, and its place.
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
    let place = numbers.iter().position(|&x| x == largest);
    (place.unwrap_or(0), largest)
}

/// The sum of a function of numbers.
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
