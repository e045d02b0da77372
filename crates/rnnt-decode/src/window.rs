//! Chooses how many frames one call scores.

use std::num::NonZeroUsize;

/// Longest window of [`Window::Adaptive`] in encoder frames: 5 s for Parakeet.
const MAX_WINDOW: usize = 64;

/// How many encoder frames one call scores of each lane. Every choice finds the same tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Always this number.
    Fixed(NonZeroUsize),
    /// The power of two from 2 to 64 with the least expected cost for each walked frame. The cost depends on
    /// how often the latest walks met a token, and on how many lanes still have frames.
    Adaptive {
        /// The fixed cost of a call, in evaluations of the joint (one frame of one lane). About 12 on a CPU.
        /// Thousands on a GPU, where launching the kernels takes longer than their arithmetic.
        call_cost: u32,
    },
}

impl Default for Window {
    /// Adaptive, with the call cost of a CPU.
    ///
    /// At the size of rnnt-0.6b, by the times of its products on one core, a call costs about as much as 9
    /// frames with AVX-512 in float32, and as 2 frames with AVX2. The default is higher because a window that
    /// ends before a lane's token also makes the lane miss a step of the predictor, which then has fewer
    /// lanes.
    fn default() -> Self {
        Self::Adaptive { call_cost: 12 }
    }
}

/// How far the latest walks went before a token stopped them: sums that fade with each call.
#[derive(Debug)]
pub(crate) struct Pace {
    frames: f64,
    stops: f64,
}

impl Default for Pace {
    /// One second of running English: three words of one and a half tokens in 12.5 frames of 80 ms.
    fn default() -> Self {
        Self {
            frames: 12.5,
            stops: 4.5,
        }
    }
}

impl Pace {
    /// Adds one call: the frames walked in all lanes, and the lanes that a token stopped.
    ///
    /// Each call takes an eighth of the weight of all earlier calls, so that a pause in the speech widens the
    /// window within a few calls.
    pub(crate) fn record(&mut self, frames: usize, stops: usize) {
        self.frames = self.frames * 0.875 + frames as f64;
        self.stops = self.stops * 0.875 + stops as f64;
    }

    /// The window of the next call, which has `n_lanes` lanes.
    pub(crate) fn window(&self, n_lanes: usize, window: Window) -> usize {
        let call_cost = match window {
            Window::Fixed(window) => return window.get(),
            Window::Adaptive { call_cost } => f64::from(call_cost),
        };
        // The probability c that no token stops a walk on a frame, taken as the same for all frames.
        let clear = 1.0 - self.stops / self.frames;
        // In a window of w frames a walk is expected to get `reach` = 1 + c + c^2 + ... + c^(w-1) frames far.
        // `all_clear` is c^w, the probability that no token is in the window. A window twice as long adds
        // c^w (1 + c + ... + c^(w-1)) to the reach, so no powers have to be computed.
        //
        // The cost of a call is affine in w and the reach is concave in w. Their quotient, the cost of a
        // walked frame, therefore falls and then rises, and the search can stop at the first window that
        // costs no less.
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
