//! Work of `rnnt-decode`: the search and the words. The network answers by arithmetic. A call of a real joint
//! takes about a millisecond on a CPU, while this network takes next to nothing, so the search itself is
//! measured.

use std::convert::Infallible;
use std::hint::black_box;

use rnnt_decode::{
    Emission, FrameClock, Head, Hypothesis, Lane, SearchRules, TokenId, Transducer, Vocabulary,
    search, words,
};

use crate::Work;

/// A full batch of chunks of 30 s: lanes, and frames of each lane.
const N_LANES: usize = 16;
const N_FRAMES: usize = 375;
/// Frames from one token to the next in running English.
const TOKEN_EVERY: usize = 3;
const BLANK: TokenId = 1024;

/// A search with each head, and the words of one lane's hypothesis.
pub(crate) static WORK: [Work; 4] = [
    Work {
        name: "search RNNT",
        n_items: N_LANES * N_FRAMES,
        prepare: || prepare_search(Head::Rnnt),
    },
    Work {
        name: "search TDT",
        n_items: N_LANES * N_FRAMES,
        prepare: || prepare_search(Head::Tdt),
    },
    Work {
        name: "search CTC",
        n_items: N_LANES * N_FRAMES,
        prepare: || prepare_search(Head::Ctc),
    },
    Work {
        name: "words",
        n_items: N_FRAMES / TOKEN_EVERY,
        prepare: prepare_words,
    },
];

fn prepare_search(head: Head) -> Box<dyn FnMut()> {
    Box::new(move || {
        black_box(hypotheses(black_box(head)));
    })
}

fn prepare_words() -> Box<dyn FnMut()> {
    let pieces = (0..BLANK).map(|id| format!("{}s{id}", if id % 2 == 0 { "▁" } else { "" }));
    let vocabulary = Vocabulary::new(pieces.collect()).expect("pieces have text");
    let clock = FrameClock {
        stride: 1280,
        sample_rate_hz: 16_000,
        samples: 0..N_FRAMES * 1280,
    };
    let hypothesis = hypotheses(Head::Tdt).swap_remove(0);
    Box::new(move || {
        let hypothesis = black_box(&hypothesis);
        black_box(words(hypothesis, &vocabulary, &clock, Head::Tdt.into()));
    })
}

fn hypotheses(head: Head) -> Vec<Hypothesis> {
    let Ok(searched) = search(&mut Metronome::new(head), &SearchRules::default());
    searched.hypotheses
}

/// A network that emits a token on every third frame of every utterance.
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
