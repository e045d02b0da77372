//! What the search and the words cost beside the network: `cargo bench -p rnnt-decode`.
//!
//! The network answers by arithmetic, so the figures are those of the walk: nanoseconds, where one
//! call of a true joint takes a millisecond on a CPU. That margin needs no statistics, and a
//! benchmark library would be built for every run of the tests.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use rnnt_decode::{
    Emission, FrameClock, Head, Lane, SearchRules, TokenId, Transducer, Vocabulary, search, words,
};

/// A full batch of chunks of 30 s.
const N_LANES: usize = 16;
const N_FRAMES: usize = 375;
/// Frames from one token to the next: running English.
const TOKEN_EVERY: usize = 3;
const BLANK: TokenId = 1024;
const N_RUNS: usize = 1000;

/// Every utterance says a token on every third frame.
#[derive(Clone)]
struct Metronome {
    head: Head,
    n_frames: Vec<usize>,
    n_said: Vec<usize>,
}

impl Metronome {
    fn new(head: Head) -> Self {
        Self {
            head,
            n_frames: vec![N_FRAMES; N_LANES],
            n_said: vec![0; N_LANES],
        }
    }

    fn emission(&self, frame: usize, n_said: usize) -> Emission {
        let is_due = match self.head {
            Head::Rnnt | Head::Tdt => frame >= n_said * TOKEN_EVERY,
            Head::Ctc => frame.is_multiple_of(TOKEN_EVERY),
        };
        Emission {
            token: if is_due {
                (frame % BLANK as usize) as TokenId
            } else {
                BLANK
            },
            duration: match self.head {
                Head::Rnnt => (!is_due).into(),
                Head::Tdt => 2,
                Head::Ctc => 1,
            },
            log_prob: -0.1,
        }
    }
}

impl Transducer for Metronome {
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
        for &Lane { utterance, frame } in lanes {
            let n_said = self.n_said[utterance];
            emissions.extend((frame..frame + window).map(|frame| self.emission(frame, n_said)));
        }
        Ok(())
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Infallible> {
        for &(utterance, _) in emitted {
            self.n_said[utterance] += 1;
        }
        Ok(())
    }
}

fn main() {
    for head in [Head::Rnnt, Head::Tdt, Head::Ctc] {
        let network = Metronome::new(head);
        report(
            &format!("search {head:?}"),
            "frame",
            N_LANES * N_FRAMES,
            || {
                let Ok(searched) = search(&mut network.clone(), &SearchRules::default());
                searched
            },
        );
    }

    let pieces = (0..BLANK).map(|id| format!("{}s{id}", if id % 2 == 0 { "▁" } else { "" }));
    let vocabulary = Vocabulary::new(pieces.collect()).expect("pieces have text");
    let clock = FrameClock {
        stride: 1280,
        sample_rate_hz: 16_000,
        samples: 0..N_FRAMES * 1280,
    };
    let Ok(searched) = search(&mut Metronome::new(Head::Tdt), &SearchRules::default());
    let hypothesis = &searched.hypotheses[0];
    report("words", "token", hypothesis.tokens.len(), || {
        words(black_box(hypothesis), &vocabulary, &clock, Head::Tdt.into())
    });
}

/// Prints the time of one item: the best of many runs, since noise only ever adds.
fn report<T>(what: &str, item: &str, n_items: usize, mut run: impl FnMut() -> T) {
    let time = |_| {
        let begun = Instant::now();
        black_box(run());
        begun.elapsed()
    };
    let best = (0..N_RUNS).map(time).min().unwrap_or_default();
    let nanoseconds = best.as_nanos() as f64 / n_items as f64;
    println!("{what:12} {nanoseconds:6.1} ns per {item}");
}
