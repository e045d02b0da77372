//! How many frames one call scores.

use std::num::NonZeroUsize;

/// Longest window of [`Window::Adaptive`], in encoder frames: 5 s for Parakeet.
const MAX_WINDOW: usize = 64;

/// How many encoder frames each lane scores per call. Any choice finds the same tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Always this many.
    Fixed(NonZeroUsize),
    /// The power of two from 2 to 64 that costs least, given how often tokens came of late and how
    /// many lanes are still searched.
    Adaptive {
        /// What a call costs before it scores anything, counted in joint evaluations (one frame of
        /// one lane). Some 12 on a CPU; thousands on a GPU, where a launch outweighs the sums.
        call_cost: u32,
    },
}

impl Default for Window {
    /// Adaptive for a CPU. At the size of rnnt-0.6b, by the times of its products on one core, a
    /// call costs as much as some 9 frames with AVX-512 in float32, and 2 with AVX2; but what stops a
    /// lane early costs a step of the predictor with fewer lanes in it.
    fn default() -> Self {
        Self::Adaptive { call_cost: 12 }
    }
}

/// How far walks of late went before a token stopped them.
#[derive(Debug)]
pub(crate) struct Pace {
    frames: f64,
    stops: f64,
}

impl Default for Pace {
    /// Running English: three words of one and a half tokens in 12.5 frames of 80 ms.
    fn default() -> Self {
        Self {
            frames: 12.5,
            stops: 4.5,
        }
    }
}

impl Pace {
    /// Takes note of one call: frames walked over all lanes, and lanes that a token stopped. Older
    /// calls fade by an eighth, so that a pause widens the window within a few calls.
    pub(crate) fn record(&mut self, frames: usize, stops: usize) {
        self.frames = self.frames * 0.875 + frames as f64;
        self.stops = self.stops * 0.875 + stops as f64;
    }

    /// The window of the next call of `n_lanes` lanes.
    pub(crate) fn window(&self, n_lanes: usize, window: Window) -> usize {
        let call_cost = match window {
            Window::Fixed(window) => return window.get(),
            Window::Adaptive { call_cost } => f64::from(call_cost),
        };
        let clear = 1.0 - self.stops / self.frames;
        // A walk gets `reach` frames far in a window of w: 1 + c + c^2 + ... + c^(w-1), where c is
        // the chance that no token stops it on a frame. `all_clear` is c^w. The cost of a frame
        // falls and then rises with w (affine over concave), so the first rise ends the climb.
        let (mut window, mut reach, mut all_clear) = (2, 1.0 + clear, clear * clear);
        let cost = |window: usize, reach: f64| (call_cost + (n_lanes * window) as f64) / reach;
        while window < MAX_WINDOW {
            let wider = reach * (1.0 + all_clear);
            if cost(window * 2, wider) >= cost(window, reach) {
                break;
            }
            (window, reach, all_clear) = (window * 2, wider, all_clear * all_clear);
        }
        window
    }
}
