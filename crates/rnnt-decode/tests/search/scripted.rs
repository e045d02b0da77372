//! A network that answers by a script, and asserts that its caller follows the contract of [`Transducer`].

use std::collections::HashSet;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::Range;

use rnnt_decode::{
    Emission, Head, Hypothesis, Lane, SearchRules, Searched, Token, TokenId, Transducer, Window,
    search, search_within,
};

/// The blank of every script. The tokens are 0 to 6.
pub(crate) const BLANK: TokenId = 7;

/// A network whose emissions are a pure function of the utterance, the frame and the tokens fed so far.
pub(crate) struct Scripted<F> {
    head: Head,
    n_frames: Vec<usize>,
    emit: F,
    histories: Vec<Vec<TokenId>>,
}

impl<F: Fn(usize, usize, &[TokenId]) -> Emission> Scripted<F> {
    pub(crate) fn new(head: Head, n_frames: Vec<usize>, emit: F) -> Self {
        let histories = vec![Vec::new(); n_frames.len()];
        Self {
            head,
            n_frames,
            emit,
            histories,
        }
    }

    /// Searches every utterance of the script.
    pub(crate) fn search(mut self, rules: &SearchRules) -> Searched {
        let Ok(searched) = search(&mut self, rules);
        searched
    }

    /// Searches a part of every utterance of the script.
    pub(crate) fn search_within(
        mut self,
        frames: &[Range<usize>],
        rules: &SearchRules,
    ) -> Searched {
        let Ok(searched) = search_within(&mut self, frames, rules);
        searched
    }

    /// Searches one utterance frame by frame, as the papers describe the search.
    pub(crate) fn naive(&self, utterance: usize, max_tokens_per_frame: usize) -> Hypothesis {
        let emit = |frame, history: &[TokenId]| (self.emit)(utterance, frame, history);
        let n_frames = self.n_frames[utterance];
        let mut tokens: Vec<Token> = Vec::new();
        if self.head == Head::Ctc {
            let path: Vec<Emission> = (0..n_frames).map(|frame| emit(frame, &[])).collect();
            for run in path.chunk_by(|a, b| a.token == b.token) {
                let log_prob = run.iter().map(|e| e.log_prob).fold(0.0, f32::min);
                tokens.push(Token {
                    id: run[0].token,
                    frame: tokens.iter().map(|run| run.duration as usize).sum(),
                    duration: run.len() as u32,
                    log_prob,
                });
            }
            tokens.retain(|run| run.id != BLANK);
            return Hypothesis { tokens };
        }
        let (mut frame, mut history) = (0, Vec::new());
        while frame < n_frames {
            for n_on_frame in 1.. {
                let Emission {
                    token: id,
                    duration,
                    log_prob,
                } = emit(frame, &history);
                if id == BLANK {
                    frame += duration.max(1) as usize;
                    break;
                }
                let covers = if self.head == Head::Rnnt { 1 } else { duration };
                tokens.push(Token {
                    id,
                    frame,
                    duration: covers,
                    log_prob,
                });
                history.push(id);
                if duration > 0 {
                    frame += duration as usize;
                    break;
                }
                if n_on_frame == max_tokens_per_frame {
                    frame += 1;
                    break;
                }
            }
        }
        Hypothesis { tokens }
    }
}

impl<F: Fn(usize, usize, &[TokenId]) -> Emission> Transducer for Scripted<F> {
    type Error = Infallible;

    fn head(&self) -> Head {
        self.head
    }

    fn blank(&self) -> TokenId {
        BLANK
    }

    fn n_encoder_frames(&self) -> &[usize] {
        &self.n_frames
    }

    fn score(
        &mut self,
        lanes: &[Lane],
        window: usize,
        emissions: &mut Vec<Emission>,
    ) -> Result<(), Infallible> {
        assert!(window > 0, "a window of nothing");
        assert!(!lanes.is_empty(), "a call for nobody");
        assert_no_repeats(lanes.iter().map(|lane| lane.utterance));
        for &Lane { utterance, frame } in lanes {
            assert!(
                frame < self.n_frames[utterance],
                "utterance {utterance} is past its end"
            );
            emissions.extend((frame..frame + window).map(|frame| {
                if frame < self.n_frames[utterance] {
                    (self.emit)(utterance, frame, &self.histories[utterance])
                } else {
                    // A frame past the end may have any emission. This token shows if the search uses it.
                    Emission {
                        token: 0,
                        duration: 0,
                        log_prob: f32::NEG_INFINITY,
                    }
                }
            }));
        }
        Ok(())
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Infallible> {
        assert!(self.head != Head::Ctc, "CTC has no predictor");
        assert!(!emitted.is_empty(), "a call for nobody");
        assert_no_repeats(emitted.iter().map(|&(utterance, _)| utterance));
        for &(utterance, token) in emitted {
            assert!(token < BLANK, "{token} was fed to the predictor");
            self.histories[utterance].push(token);
        }
        Ok(())
    }
}

/// The default rules with a fixed window.
pub(crate) fn fixed(window: usize) -> SearchRules {
    let window = NonZeroUsize::new(window).expect("tests ask for frames");
    SearchRules {
        window: Window::Fixed(window),
        ..SearchRules::default()
    }
}

#[track_caller]
fn assert_no_repeats(utterances: impl Iterator<Item = usize>) {
    let mut seen = HashSet::new();
    for utterance in utterances {
        assert!(
            seen.insert(utterance),
            "utterance {utterance} is named twice"
        );
    }
}
