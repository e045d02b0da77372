//! The rules of each head, on scripts that are short enough to check by eye.

use std::num::NonZeroU32;

use rnnt_decode::{Emission, Head, Lane, SearchRules, SearchStats, TokenId, Transducer, search};

use crate::scripted::{BLANK, Scripted, fixed};

/// Searches one utterance. The script says for each frame the tokens that the network emits one after the
/// other before it emits blank; `-` is a frame with blank alone. A found token is printed as
/// `id@frame+duration`.
#[track_caller]
fn check(head: Head, script: &str, expected: &str) {
    let frames: Vec<Vec<Emission>> = script.split_whitespace().map(emissions_of_frame).collect();
    let n_frames = frames.len();
    for window in [1, 2, 3, 64] {
        // The tokens fed so far say how many tokens of this frame were emitted.
        let network = Scripted::new(head, vec![n_frames], |_, frame, history: &[TokenId]| {
            let before: usize = frames[..frame].iter().map(|tokens| tokens.len() - 1).sum();
            let at = if head == Head::Ctc {
                0
            } else {
                history.len().saturating_sub(before)
            };
            frames[frame][at.min(frames[frame].len() - 1)]
        });
        let hypothesis = &network.search(&fixed(window)).hypotheses[0];
        let found: Vec<_> = hypothesis
            .tokens
            .iter()
            .map(|token| format!("{}@{}+{}", token.id, token.frame, token.duration))
            .collect();
        assert_eq!(found.join(" "), expected, "with a window of {window}");
    }
}

/// Parses a frame of a script: `3,4` are two tokens, `3:2` is a token of duration 2, `-` is blank and `-:0`
/// is blank of duration 0.
fn emissions_of_frame(script: &str) -> Vec<Emission> {
    let mut emissions: Vec<_> = script
        .split(',')
        .map(|emission| {
            let (token, duration) = emission.split_once(':').unwrap_or((emission, ""));
            let is_blank = token == "-";
            Emission {
                token: token.parse().unwrap_or(BLANK),
                duration: duration.parse().unwrap_or(is_blank.into()),
                log_prob: -0.5,
            }
        })
        .collect();
    if emissions.iter().all(|emission| emission.token != BLANK) {
        emissions.push(Emission {
            token: BLANK,
            duration: 1,
            log_prob: -0.5,
        });
    }
    emissions
}

#[test]
fn a_frame_may_emit_many_tokens() {
    check(Head::Rnnt, "- 1,2,3 - 4", "1@1+1 2@1+1 3@1+1 4@3+1");
}

#[test]
fn a_token_equal_to_its_neighbour_is_kept() {
    check(Head::Rnnt, "1,1 1 - 1", "1@0+1 1@0+1 1@1+1 1@3+1");
}

#[test]
fn speech_after_a_long_silence_is_found() {
    check(
        Head::Rnnt,
        &format!("1 {} 2", "- ".repeat(675)),
        "1@0+1 2@676+1",
    );
}

#[test]
fn a_tdt_token_moves_time_by_its_duration() {
    check(Head::Tdt, "1:3 2 2 4:1 5:2", "1@0+3 4@3+1 5@4+2");
}

#[test]
fn a_tdt_blank_moves_time_by_its_duration() {
    check(Head::Tdt, "-:2 1:1 2:1", "2@2+1");
}

#[test]
fn a_tdt_blank_of_duration_0_counts_as_1() {
    check(Head::Tdt, "-:0 1:1", "1@1+1");
}

#[test]
fn a_tdt_token_of_duration_0_leaves_time_for_more_on_its_frame() {
    check(
        Head::Tdt,
        "1:0,2:0,3:2 - 4:0,-:0 5:1",
        "1@0+0 2@0+0 3@0+2 4@2+0 5@3+1",
    );
}

#[test]
fn a_duration_past_the_end_ends_the_utterance() {
    check(Head::Tdt, "- 1:4", "1@1+4");
}

#[test]
fn a_ctc_run_is_one_token_over_the_edge_of_a_window() {
    check(Head::Ctc, "- 1 1 1 - 2 2", "1@1+3 2@5+2");
}

#[test]
fn a_ctc_token_repeated_after_blank_is_a_token_of_its_own() {
    check(Head::Ctc, "1 1 - 1 2 1", "1@0+2 1@3+1 2@4+1 1@5+1");
}

#[test]
fn a_ctc_token_is_as_likely_as_the_worst_frame_of_its_run() {
    let log_probs = [-0.1, -0.7, -0.3, -0.2];
    let network = Scripted::new(Head::Ctc, vec![4], |_, frame, _: &[TokenId]| Emission {
        token: if frame < 3 { 0 } else { BLANK },
        duration: 1,
        log_prob: log_probs[frame],
    });
    let tokens = &network.search(&fixed(2)).hypotheses[0].tokens;
    assert_eq!(
        tokens
            .iter()
            .map(|token| token.log_prob)
            .collect::<Vec<_>>(),
        [-0.7]
    );
}

/// A network that emits the tokens 0 to 6 in turn and never blank.
fn chatter(
    head: Head,
    n_frames: &[usize],
) -> Scripted<impl Fn(usize, usize, &[TokenId]) -> Emission + use<>> {
    let emit = |_: usize, _: usize, history: &[TokenId]| Emission {
        token: history.len() as TokenId % BLANK,
        duration: 0,
        log_prob: 0.0,
    };
    Scripted::new(head, n_frames.to_vec(), emit)
}

/// A network that emits only blank.
fn silence(n_frames: &[usize]) -> Scripted<impl Fn(usize, usize, &[TokenId]) -> Emission + use<>> {
    let blank = Emission {
        token: BLANK,
        duration: 1,
        log_prob: 0.0,
    };
    Scripted::new(Head::Rnnt, n_frames.to_vec(), move |_, _, _: &[TokenId]| {
        blank
    })
}

#[test]
fn a_network_that_never_says_blank_stops_at_ten_tokens_per_frame() {
    for (head, window) in [
        (Head::Rnnt, 1),
        (Head::Rnnt, 64),
        (Head::Tdt, 1),
        (Head::Tdt, 7),
    ] {
        let hypothesis = &chatter(head, &[5]).search(&fixed(window)).hypotheses[0];
        let frames: Vec<_> = hypothesis.tokens.iter().map(|token| token.frame).collect();
        assert_eq!(
            frames,
            (0..50).map(|i| i / 10).collect::<Vec<_>>(),
            "{head:?}, {window}"
        );
    }
}

#[test]
fn the_limit_of_tokens_per_frame_is_a_setting() {
    let max_tokens_per_frame = NonZeroU32::new(1).expect("1 is not 0");
    let rules = SearchRules {
        max_tokens_per_frame,
        ..SearchRules::default()
    };
    assert_eq!(chatter(Head::Rnnt, &[5]).search(&rules).stats.n_tokens, 5);
}

#[test]
fn utterances_without_frames_have_no_tokens_beside_others_that_have() {
    let searched = chatter(Head::Rnnt, &[0, 3, 0]).search(&SearchRules::default());
    let n_tokens: Vec<_> = searched.hypotheses.iter().map(|h| h.tokens.len()).collect();
    assert_eq!(n_tokens, [0, 30, 0]);
}

#[test]
fn a_batch_without_frames_asks_the_network_nothing() {
    for n_frames in [vec![], vec![0, 0]] {
        let searched = silence(&n_frames).search(&SearchRules::default());
        assert_eq!(searched.hypotheses.len(), n_frames.len());
        assert_eq!(searched.stats, SearchStats::default());
    }
}

#[test]
fn blanks_cost_one_call_per_window() {
    let stats = silence(&[100]).search(&fixed(8)).stats;
    let expected = SearchStats {
        score_calls: 13,
        scored_lanes: 13,
        scored_frames: 100,
        advance_calls: 0,
        n_tokens: 0,
    };
    assert_eq!(stats, expected);
}

#[test]
fn finished_utterances_leave_the_batch() {
    let stats = silence(&[8, 32, 16]).search(&fixed(8)).stats;
    assert_eq!((stats.score_calls, stats.scored_lanes), (4, 1 + 4 + 2));
}

#[test]
fn tokens_of_one_round_share_a_call_of_the_predictor() {
    let stats = chatter(Head::Rnnt, &[4, 4, 2]).search(&fixed(2)).stats;
    assert_eq!((stats.n_tokens, stats.advance_calls), (100, 40));
}

#[test]
fn stats_of_many_searches_add_up() {
    let mut stats = chatter(Head::Rnnt, &[2]).search(&fixed(4)).stats;
    stats += silence(&[8]).search(&fixed(4)).stats;
    assert_eq!(stats.score_calls_per_token(), Some(22.0 / 20.0));
    // The last window of an utterance has only the frames that are left: 10 x 2 + 10 x 1 + 2 x 4.
    assert_eq!(stats.mean_window(), Some(38.0 / 22.0));
    assert_eq!(SearchStats::default().score_calls_per_token(), None);
    assert_eq!(SearchStats::default().mean_window(), None);
}

/// A network that writes no emissions. It returns an error, or it does not.
struct Mute(Result<(), std::fmt::Error>);

impl Transducer for Mute {
    type Error = std::fmt::Error;

    fn head(&self) -> Head {
        Head::Rnnt
    }

    fn blank(&self) -> TokenId {
        BLANK
    }

    fn n_encoder_frames(&self) -> &[usize] {
        &[1]
    }

    fn score(&mut self, _: &[Lane], _: usize, _: &mut Vec<Emission>) -> Result<(), Self::Error> {
        self.0
    }

    fn advance(&mut self, _: &[(usize, TokenId)]) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_network_ends_the_search() {
    let searched = search(&mut Mute(Err(std::fmt::Error)), &SearchRules::default());
    assert_eq!(searched, Err(std::fmt::Error));
}

#[test]
#[should_panic = "emissions of a whole window per lane"]
fn a_network_that_leaves_emissions_out_is_found_out() {
    drop(search(&mut Mute(Ok(())), &SearchRules::default()));
}
