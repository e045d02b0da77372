//! A network with a scripted memory and scripted failures, for the tests of the scheduler.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use parakeet_model::Error;
use rnnt_decode::{Hypothesis, Token, TokenId};

use super::super::n_samples;
use super::STRIDE;
use crate::transcriber::counters::Stats;
use crate::transcriber::recognizer::{Recognizer, Utterance};

/// A scripted network: recognises each frame as the frame's number in its recording, if it has the memory.
#[derive(Default)]
pub(super) struct Script {
    /// Whether the network encodes a batch before it searches the batch before.
    pub(super) encodes_ahead: bool,
    /// Most samples, padding included, of all batches that are encoded and not searched; 0 for no limit.
    pub(super) room: usize,
    pub(super) held: Cell<usize>,
    /// The numbers of the calls, counted from 0, that run out of memory whatever they ask for.
    pub(super) faults: Vec<usize>,
    /// The token whose recognition fails for another reason.
    pub(super) broken: Option<TokenId>,
    pub(super) n_calls: Cell<usize>,
    pub(super) n_searches: Cell<usize>,
    pub(super) n_failures: Cell<usize>,
    pub(super) recognized: RefCell<Vec<TokenId>>,
}

impl Script {
    /// Counts a call that needs memory for `n_samples` more samples.
    fn call(&self, n_samples: usize) -> Result<(), Error> {
        let n_samples = self.held.get() + n_samples;
        let call = self.n_calls.replace(self.n_calls.get() + 1);
        if self.faults.contains(&call) || (self.room > 0 && n_samples > self.room) {
            self.n_failures.set(self.n_failures.get() + 1);
            return Err(Error::OutOfMemory {
                method: "encode",
                arguments: String::new(),
                source: "CUDA out of memory".into(),
            });
        }
        Ok(())
    }
}

impl Recognizer for Script {
    /// The hypotheses of the search to come, and the samples that the encoding holds.
    type Encoding = (Vec<Hypothesis>, usize);

    fn encodes_ahead(&self) -> bool {
        self.encodes_ahead
    }

    fn encode(&self, batch: &[Utterance], _: &mut Stats) -> Result<Self::Encoding, Error> {
        let n_samples = n_samples(batch);
        self.call(n_samples)?;
        self.held.update(|held| held + n_samples);
        Ok((batch.iter().map(hypothesis).collect(), n_samples))
    }

    fn cancel(&self, (_, n_samples): Self::Encoding) {
        self.held.update(|held| held - n_samples);
    }

    fn search(
        &self,
        (hypotheses, n_samples): Self::Encoding,
        frames: &[Range<usize>],
        _: &mut Stats,
    ) -> Result<Vec<Hypothesis>, Error> {
        self.n_searches.update(|n| n + 1);
        let called = self.call(0);
        self.held.update(|held| held - n_samples);
        called?;
        for (frames, hypothesis) in frames.iter().zip(&hypotheses) {
            let searched = hypothesis.tokens.iter().map(|it| it.frame);
            assert!(
                searched.eq(frames.clone()),
                "the scheduler says what to search"
            );
        }
        let tokens = || {
            hypotheses
                .iter()
                .flat_map(|it| &it.tokens)
                .map(|token| token.id)
        };
        if self
            .broken
            .is_some_and(|broken| tokens().any(|id| id == broken))
        {
            return Err(Error::EmptyBatch);
        }
        self.recognized.borrow_mut().extend(tokens());
        Ok(hypotheses)
    }
}

fn hypothesis(utterance: &Utterance) -> Hypothesis {
    let token = |frame: usize| Token {
        id: utterance.samples[frame * STRIDE.get()] as TokenId,
        frame,
        duration: 1,
        log_prob: -0.1,
    };
    Hypothesis {
        tokens: utterance.frames.clone().map(token).collect(),
    }
}
