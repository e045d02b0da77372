//! Transcribes a list of recordings and delivers the transcripts in its order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use segmenter::SegmentRules;

use crate::source::Source;
use crate::transcriber::{Client, Error, Stats, Transcriber, Transcript};

/// Transcribes a list of recordings and delivers the transcripts in its order; otherwise as
/// [`Transcriber::transcribe`]. All recordings have the same segment rules. `proceed` and `deliver` are the methods of a [`Client`].
pub fn transcribe_list(
    transcriber: &Transcriber,
    segment_rules: &SegmentRules,
    sources: &[Source],
    proceed: impl FnMut(&Stats) -> ControlFlow<()>,
    deliver: impl FnMut(usize, Result<Transcript, Error>) -> ControlFlow<()>,
) -> Stats {
    transcriber.transcribe(&mut InOrder::new(sources, segment_rules, proceed, deliver))
}

/// The client for a list. A recording that is done before an earlier one is held back until that one is done.
struct InOrder<'a, P, D> {
    sources: std::iter::Enumerate<std::slice::Iter<'a, Source>>,
    segment_rules: &'a SegmentRules,
    /// Outcomes that wait for an earlier recording.
    early: BTreeMap<usize, Result<Transcript, Error>>,
    n_delivered: usize,
    proceed: P,
    deliver: D,
}

impl<'a, P, D> InOrder<'a, P, D> {
    fn new(sources: &'a [Source], segment_rules: &'a SegmentRules, proceed: P, deliver: D) -> Self {
        Self {
            sources: sources.iter().enumerate(),
            segment_rules,
            early: BTreeMap::new(),
            n_delivered: 0,
            proceed,
            deliver,
        }
    }
}

impl<P, D> Client for InOrder<'_, P, D>
where
    P: FnMut(&Stats) -> ControlFlow<()>,
    D: FnMut(usize, Result<Transcript, Error>) -> ControlFlow<()>,
{
    fn next(&mut self) -> Option<(usize, Source)> {
        let (number, source) = self.sources.next()?;
        Some((number, source.clone()))
    }

    fn segment_rules(&mut self, _: usize) -> SegmentRules {
        self.segment_rules.clone()
    }

    fn proceed(&mut self, stats: &Stats) -> ControlFlow<()> {
        (self.proceed)(stats)
    }

    fn wants(&mut self, _: usize, _: f64) -> bool {
        true
    }

    fn deliver(&mut self, number: usize, transcript: Result<Transcript, Error>) -> ControlFlow<()> {
        self.early.insert(number, transcript);
        while let Some(transcript) = self.early.remove(&self.n_delivered) {
            let number = self.n_delivered;
            self.n_delivered += 1;
            (self.deliver)(number, transcript)?;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_early_is_held_back() {
        let sources = [Source::Stdin, Source::Stdin, Source::Stdin, Source::Stdin];
        let mut order = Vec::new();
        let proceed = |_: &Stats| ControlFlow::Continue(());
        let rules = SegmentRules::default();
        let mut list = InOrder::new(&sources, &rules, proceed, |number, _| {
            order.push(number);
            if number < 2 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        let nothing = || Err(parakeet_model::Error::EmptyBatch.into());
        assert!(list.deliver(1, nothing()).is_continue());
        assert!(list.deliver(3, nothing()).is_continue());
        assert!(list.deliver(0, nothing()).is_continue());
        assert!(list.deliver(2, nothing()).is_break());
        assert_eq!(order, [0, 1, 2]);
    }
}
