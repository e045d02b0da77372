//! A transducer's weights, as an archive gives them: `host_weights` of `xtask/python/exporter/transducer.py`.

use tch::{CModule, IValue, TchError, Tensor};

use super::joint::Activation;

/// Weight (n_out, n_in) and bias (n_out).
pub(super) type Linear = (Tensor, Tensor);

/// V symbols without blank, D durations, layers of width H, J the joint's width.
pub(super) struct Weights {
    /// What each token adds to the gates of the first layer, its bias included: (V + 1, 4 H).
    pub(super) first_gates: Tensor,
    /// What the state of each layer adds to its gates: (4 H, H).
    pub(super) by_state: Vec<Tensor>,
    /// What the input of each layer but the first adds: (4 H, H).
    pub(super) by_input: Vec<Linear>,
    /// The joint's of the predictor's output: (J, H).
    pub(super) projection: Linear,
    /// Scores of symbols and of durations: (V + 1 + D, J).
    pub(super) classes: Linear,
    /// Before the scores.
    pub(super) activation: Activation,
    /// TDT's, in encoder frames (D); none for RNNT.
    pub(super) durations: Tensor,
}

impl Weights {
    /// Those of an archive; `None` from one of an earlier release, which does not give them, or without a
    /// predictor.
    pub(super) fn of(module: &CModule) -> Result<Option<Self>, TchError> {
        let weights = match module.method_is::<IValue>("host_weights", &[]) {
            // libtorch has no code for it.
            Err(why)
                if why
                    .to_string()
                    .contains("Method 'host_weights' is not defined") =>
            {
                return Ok(None);
            }
            weights => weights?,
        };
        let (tables, by_state, layers, activation): (Vec<_>, _, Vec<Tensor>, String) =
            weights.try_into()?;
        let [first_gates, durations] = exactly(tables)?;
        let mut by_input = Vec::new();
        let mut layers = layers.into_iter();
        while let Some(weight) = layers.next() {
            by_input.push((weight, layers.next().ok_or_else(|| misfit("a bias"))?));
        }
        let heads = by_input.split_off(by_input.len().saturating_sub(2));
        let [projection, classes] = exactly(heads)?;
        let weights = Self {
            first_gates,
            by_state,
            by_input,
            projection,
            classes,
            activation: Activation::named(&activation)?,
            durations,
        };
        weights.check()?;
        Ok(Some(weights))
    }

    /// Whether all sizes are of one network.
    pub(super) fn check(&self) -> Result<(), TchError> {
        let (n_rows, n_gates) = self.first_gates.size2()?;
        let (_, joint) = self.classes.0.size2()?;
        let width = n_gates / 4;
        if n_rows < 1 || width < 1 || joint < 1 {
            return Err(misfit("a number in each"));
        }
        let is = |tensor: &Tensor, size: &[i64]| tensor.size() == size;
        let is_linear = |(weight, bias): &Linear, [n_out, n_in]: [i64; 2]| {
            is(weight, &[n_out, n_in]) && is(bias, &[n_out])
        };
        if self.by_state.len() != self.by_input.len() + 1 {
            return Err(misfit("an input of each layer but the first"));
        }
        let gates = [4 * width, width];
        let by_state = self.by_state.iter();
        if n_gates != 4 * width
            || by_state.clone().any(|it| !is(it, &gates))
            || self.by_input.iter().any(|it| !is_linear(it, gates))
        {
            return Err(misfit("four gates of one width"));
        }
        if !is_linear(&self.projection, [joint, width]) {
            return Err(misfit("a projection from predictor to joint"));
        }
        let n_durations = self.durations.size1()?;
        if !is_linear(&self.classes, [n_rows + n_durations, joint]) {
            return Err(misfit("a score for each symbol and duration"));
        }
        Ok(())
    }
}

fn misfit(expected: &str) -> TchError {
    TchError::Shape(format!(
        "host_weights of the archive do not fit each other, expected {expected}"
    ))
}

/// A list of so many.
fn exactly<T, const N: usize>(list: Vec<T>) -> Result<[T; N], TchError> {
    list.try_into()
        .map_err(|_| misfit(&format!("{N} in a list")))
}
