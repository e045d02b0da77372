//! Greedy search over many utterances at once, with blanks taken in windows.
//!
//! Each round has three steps. The network scores a window of frames of every utterance that has frames left.
//! The search walks through each utterance's window up to the first token. The network feeds these tokens to
//! its predictor. The next round goes on in each utterance where its walk stopped. An utterance at its end
//! leaves the batch.
//!
//! Calls of the network cost more than the frames in them, so a round takes as many frames as it can use.
//! Blanks leave the predictor's state unchanged, so one call can score all frames up to the next token. The
//! first token of a window changes the state, and makes the scores of the frames behind it worthless.

use std::num::NonZeroU32;
use std::ops::{AddAssign, Range};

use crate::window::Pace;
use crate::{Emission, Head, Hypothesis, Lane, Token, TokenId, Transducer, Window};

/// Searches every utterance of a batch, from its first frame to its last, by the rules of its network's
/// [`Head`].
///
/// There is one hypothesis for each utterance, in the order of the batch. An utterance without encoder frames
/// has no tokens. A hypothesis depends neither on the window nor on the other utterances.
///
/// RNNT and TDT follow NeMo's greedy rules. Blank moves time by its duration, and by at least one frame. A
/// token moves time by its duration. After [`SearchRules::max_tokens_per_frame`] tokens on one frame time
/// moves by at least one frame. CTC merges repeats of a symbol.
///
/// # Errors
///
/// The network's own, from [`Transducer::score`] or [`Transducer::advance`].
///
/// # Panics
///
/// If [`Transducer::score`] does not write `lanes.len() * window` emissions.
pub fn search<T: Transducer>(network: &mut T, rules: &SearchRules) -> Result<Searched, T::Error> {
    let whole: Vec<_> = network.n_encoder_frames().iter().map(|&n| 0..n).collect();
    search_within(network, &whole, rules)
}

/// Searches a part of every utterance. `frames` has one range of encoder frames for each utterance.
///
/// The encoder has seen the frames around the part. The predictor starts at the first frame of the part, in
/// the state after the start of sequence. Frames of tokens count from the start of the whole utterance. All
/// else is as in [`search`]. A part that runs past the end of its utterance ends there. An empty part has no
/// tokens.
///
/// # Errors
///
/// Those of [`search`].
///
/// # Panics
///
/// As [`search`], and if the numbers of ranges and of utterances differ.
pub fn search_within<T: Transducer>(
    network: &mut T,
    frames: &[Range<usize>],
    rules: &SearchRules,
) -> Result<Searched, T::Error> {
    let walker = Walker {
        head: network.head(),
        blank: network.blank(),
        max_tokens_per_frame: rules.max_tokens_per_frame.get(),
    };
    let n_frames = network.n_encoder_frames();
    assert_eq!(
        frames.len(),
        n_frames.len(),
        "a range of frames per utterance"
    );
    let ends: Vec<usize> = frames
        .iter()
        .zip(n_frames)
        .map(|(it, &n)| it.end.min(n))
        .collect();
    let mut walks = vec![Walk::default(); ends.len()];
    let starts = frames.iter().map(|frames| frames.start).enumerate();
    let mut lanes: Vec<Lane> = starts
        .map(|(utterance, frame)| Lane { utterance, frame })
        .collect();
    let mut stats = SearchStats::default();
    let mut pace = Pace::default();
    let mut emissions = Vec::new();
    let mut emitted = Vec::new();
    loop {
        // A lane may be past its end: the duration of the last token or blank of TDT may reach beyond it.
        lanes.retain(|lane| lane.frame < ends[lane.utterance]);
        let remaining = lanes.iter().map(|lane| ends[lane.utterance] - lane.frame);
        let Some(longest) = remaining.max() else {
            break;
        };
        // All lanes share one window, because the network scores them in one call. No lane can use more
        // frames than the longest one has left; a lane with fewer frames ignores the rest of its window.
        let window = pace.window(lanes.len(), rules.window).min(longest);

        emissions.clear();
        network.score(&lanes, window, &mut emissions)?;
        assert_eq!(
            emissions.len(),
            lanes.len() * window,
            "emissions of a whole window per lane"
        );
        stats.score_calls += 1;
        stats.scored_lanes += lanes.len() as u64;
        stats.scored_frames += emissions.len() as u64;

        emitted.clear();
        let mut walked = 0;
        for (lane, emissions) in lanes.iter_mut().zip(emissions.chunks_exact(window)) {
            let valid = window.min(ends[lane.utterance] - lane.frame);
            let step = walker.walk(lane, &emissions[..valid], &mut walks[lane.utterance]);
            walked += step.frames;
            emitted.extend(step.token.map(|token| (lane.utterance, token)));
        }
        // Only walked frames count, since the emissions behind a token say nothing of the pace.
        pace.record(walked, emitted.len());
        if !emitted.is_empty() {
            network.advance(&emitted)?;
            stats.advance_calls += 1;
        }
    }
    let hypotheses: Vec<_> = walks.into_iter().map(|walk| walk.hypothesis).collect();
    stats.n_tokens = hypotheses
        .iter()
        .map(|hypothesis| hypothesis.tokens.len() as u64)
        .sum();
    Ok(Searched { hypotheses, stats })
}

/// Settings of [`search`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRules {
    /// Most tokens that RNNT and TDT may emit on one frame before time moves. NeMo's `max_symbols`, which is
    /// 10 by default. Without a limit a network that emits no blank would hold the search on one frame for
    /// ever.
    pub max_tokens_per_frame: NonZeroU32,
    /// Number of frames that one call scores. It changes the speed and no token.
    pub window: Window,
}

impl Default for SearchRules {
    fn default() -> Self {
        let max_tokens_per_frame = const { NonZeroU32::new(10).expect("10 is not 0") };
        Self {
            max_tokens_per_frame,
            window: Window::default(),
        }
    }
}

/// The result of [`search`], and its cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Searched {
    /// One hypothesis for each utterance, in the order of the batch.
    pub hypotheses: Vec<Hypothesis>,
    /// The number of calls, frames and tokens.
    pub stats: SearchStats,
}

/// The cost of one search. `+=` adds the cost of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Number of calls of [`Transducer::score`].
    pub score_calls: u64,
    /// Sum of the numbers of lanes over these calls.
    pub scored_lanes: u64,
    /// Sum of the numbers of frames over these lanes: the number of evaluations of the joint.
    pub scored_frames: u64,
    /// Number of calls of [`Transducer::advance`].
    pub advance_calls: u64,
    /// Number of tokens in all hypotheses.
    pub n_tokens: u64,
}

impl SearchStats {
    /// Calls of [`Transducer::score`] for each token. `None` if there is no token.
    pub fn score_calls_per_token(&self) -> Option<f64> {
        (self.n_tokens > 0).then(|| self.score_calls as f64 / self.n_tokens as f64)
    }

    /// Mean number of encoder frames that a call scores of a lane. `None` if there was no call.
    pub fn mean_window(&self) -> Option<f64> {
        (self.scored_lanes > 0).then(|| self.scored_frames as f64 / self.scored_lanes as f64)
    }
}

impl AddAssign for SearchStats {
    fn add_assign(&mut self, other: Self) {
        self.score_calls += other.score_calls;
        self.scored_lanes += other.scored_lanes;
        self.scored_frames += other.scored_frames;
        self.advance_calls += other.advance_calls;
        self.n_tokens += other.n_tokens;
    }
}

/// The progress of one utterance, apart from the frame of its lane.
#[derive(Debug, Clone, Default)]
struct Walk {
    hypothesis: Hypothesis,
    /// Tokens emitted so far on the lane's frame.
    tokens_on_frame: u32,
}

/// The result of one walk through a window.
struct Step {
    /// Number of emissions of the window up to where the walk stopped.
    frames: usize,
    /// The token that stopped the walk and has to be fed to the predictor.
    token: Option<TokenId>,
}

/// Walks through windows by the rules of one search.
struct Walker {
    head: Head,
    blank: TokenId,
    max_tokens_per_frame: u32,
}

impl Walker {
    /// Moves a lane through the emissions of its next frames. None of the frames is past the lane's end.
    fn walk(&self, lane: &mut Lane, emissions: &[Emission], walk: &mut Walk) -> Step {
        match self.head {
            Head::Rnnt | Head::Tdt => self.walk_to_token(lane, emissions, walk),
            Head::Ctc => self.walk_through(lane, emissions, &mut walk.hypothesis.tokens),
        }
    }

    /// RNNT and TDT: walks up to the first token, which changes the predictor's state.
    fn walk_to_token(&self, lane: &mut Lane, emissions: &[Emission], walk: &mut Walk) -> Step {
        let first = lane.frame;
        // A duration of TDT may jump past the window's end. The lane then stands behind the window, and the
        // next call scores it from there.
        while let Some(&emission) = emissions.get(lane.frame - first) {
            let Emission {
                token,
                duration,
                log_prob,
            } = emission;
            let frame = lane.frame;
            let is_blank = token == self.blank;
            // Blank with duration 0 would score the same frame with the same state for ever, so blank always
            // moves time. A token may stay on its frame until the frame has the most tokens.
            let may_stay = !is_blank && walk.tokens_on_frame + 1 < self.max_tokens_per_frame;
            if duration == 0 && may_stay {
                walk.tokens_on_frame += 1;
            } else {
                lane.frame += duration.max(1) as usize;
                walk.tokens_on_frame = 0;
            }
            if is_blank {
                continue;
            }
            // RNNT's emission says how far time moves, which is 0 for a token; the token covers its frame.
            let duration = if self.head == Head::Tdt { duration } else { 1 };
            let found = Token {
                id: token,
                frame,
                duration,
                log_prob,
            };
            walk.hypothesis.tokens.push(found);
            return Step {
                frames: frame - first + 1,
                token: Some(token),
            };
        }
        Step {
            frames: emissions.len(),
            token: None,
        }
    }

    /// CTC: walks to the window's end, as there is no state that a token could change. Neighbouring frames
    /// with one symbol are one token, also across the border of two windows.
    fn walk_through(
        &self,
        lane: &mut Lane,
        emissions: &[Emission],
        tokens: &mut Vec<Token>,
    ) -> Step {
        for emission in emissions {
            let (id, log_prob) = (emission.token, emission.log_prob);
            let frame = lane.frame;
            lane.frame += 1;
            if id == self.blank {
                continue;
            }
            // The last token goes on if its run ends right before this frame. A blank between two equal
            // symbols leaves a gap and so makes two tokens.
            match tokens.last_mut() {
                Some(run) if run.id == id && run.frame + run.duration as usize == frame => {
                    run.duration += 1;
                    run.log_prob = run.log_prob.min(log_prob);
                }
                _ => tokens.push(Token {
                    id,
                    frame,
                    duration: 1,
                    log_prob,
                }),
            }
        }
        Step {
            frames: emissions.len(),
            token: None,
        }
    }
}
