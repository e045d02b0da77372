//! Greedy search over many utterances at once, blanks taken in windows.
//!
//! Each round scores a window of frames of every utterance that is not done, walks the blanks on
//! the host up to the first token, feeds those tokens to the predictor, and asks again from where
//! each walk stopped. An utterance that reaches its end leaves the batch.

use std::num::NonZeroU32;
use std::ops::{AddAssign, Range};

use crate::window::Pace;
use crate::{Emission, Head, Hypothesis, Lane, Token, TokenId, Transducer, Window};

/// Searches every utterance of a batch, from its first frame to its last and by its network's
/// [`Head`].
///
/// The hypotheses come in the order of the utterances, one for each; an utterance without encoder
/// frames has no tokens. They depend neither on the window nor on the other utterances.
///
/// RNNT and TDT follow NeMo's greedy rules: blank moves time (TDT: by its duration, and at least
/// by one frame), a token moves time by its duration, and after
/// [`SearchRules::max_tokens_per_frame`] tokens time moves one frame anyway. CTC merges repeats.
///
/// # Errors
///
/// The network's own, as it comes from [`Transducer::score`] or [`Transducer::advance`].
///
/// # Panics
///
/// If [`Transducer::score`] does not answer `lanes.len() * window` emissions.
pub fn search<T: Transducer>(network: &mut T, rules: &SearchRules) -> Result<Searched, T::Error> {
    let whole: Vec<_> = network.n_encoder_frames().iter().map(|&n| 0..n).collect();
    search_within(network, &whole, rules)
}

/// Searches a part of every utterance: no frame outside `frames`, given by utterance, is decoded.
///
/// The encoder has seen the frames around that part, the predictor starts afresh at its first one,
/// and tokens keep the frames of the whole utterance. Otherwise this is [`search`]. A part that runs
/// past its utterance ends with it; an empty one has no tokens.
///
/// # Errors
///
/// Those of [`search`].
///
/// # Panics
///
/// As [`search`], and if there is not one range of frames for each utterance.
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
        lanes.retain(|lane| lane.frame < ends[lane.utterance]);
        let remaining = lanes.iter().map(|lane| ends[lane.utterance] - lane.frame);
        let Some(longest) = remaining.max() else {
            break;
        };
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
    /// Most tokens that one frame may emit before time moves on; RNNT and TDT. NeMo's
    /// `max_symbols`, 10 by default.
    pub max_tokens_per_frame: NonZeroU32,
    /// How many frames one call scores: a matter of speed alone.
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

/// What [`search`] found, and what it cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Searched {
    /// One for each utterance, in the batch's order.
    pub hypotheses: Vec<Hypothesis>,
    /// The work done.
    pub stats: SearchStats,
}

/// The work of one search; sums over many with `+=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Calls of [`Transducer::score`].
    pub score_calls: u64,
    /// Lanes of those calls, summed.
    pub scored_lanes: u64,
    /// Frames of those lanes, summed: evaluations of the joint.
    pub scored_frames: u64,
    /// Calls of [`Transducer::advance`].
    pub advance_calls: u64,
    /// Tokens of all hypotheses.
    pub n_tokens: u64,
}

impl SearchStats {
    /// Calls of the joint per token; `None` without a token.
    pub fn score_calls_per_token(&self) -> Option<f64> {
        (self.n_tokens > 0).then(|| self.score_calls as f64 / self.n_tokens as f64)
    }

    /// Encoder frames that a lane scored per call, on average; `None` without a call.
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

/// How far one utterance has come, beside its lane's frame.
#[derive(Debug, Clone, Default)]
struct Walk {
    hypothesis: Hypothesis,
    tokens_on_frame: u32,
}

/// What one walk through a window did.
struct Step {
    /// Emissions of the window that it could use.
    frames: usize,
    /// The token that stopped it, to be fed to the predictor.
    token: Option<TokenId>,
}

/// The rules by which a window is walked.
struct Walker {
    head: Head,
    blank: TokenId,
    max_tokens_per_frame: u32,
}

impl Walker {
    /// Moves a lane through the emissions of its next frames, all of which may be decoded.
    fn walk(&self, lane: &mut Lane, emissions: &[Emission], walk: &mut Walk) -> Step {
        match self.head {
            Head::Rnnt | Head::Tdt => self.walk_to_token(lane, emissions, walk),
            Head::Ctc => self.walk_through(lane, emissions, &mut walk.hypothesis.tokens),
        }
    }

    /// RNNT and TDT: up to the first token, since it changes the predictor's state.
    fn walk_to_token(&self, lane: &mut Lane, emissions: &[Emission], walk: &mut Walk) -> Step {
        let first = lane.frame;
        while let Some(&emission) = emissions.get(lane.frame - first) {
            let Emission {
                token,
                duration,
                log_prob,
            } = emission;
            let frame = lane.frame;
            let is_blank = token == self.blank;
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

    /// CTC: to the window's end. A run of one symbol is one token, and goes on over the edge.
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
