//! Batches, and the seam with the search, for every head.

use std::num::NonZeroUsize;
use std::sync::LazyLock;

use parakeet_model::{Error, ParakeetModel, Utterances};
use rnnt_decode::{Head, Hypothesis, Lane, SearchRules, Transducer as _, Window, search};

use crate::batches::{check_same_in_random_batches, slices};
use crate::exported::load_random;
use crate::tiny::{MODEL, recordings};

static TDT: LazyLock<ParakeetModel> = LazyLock::new(|| load_random("tdt"));
static CTC: LazyLock<ParakeetModel> = LazyLock::new(|| load_random("ctc"));

fn models() -> [(Head, &'static ParakeetModel); 3] {
    [
        (Head::Rnnt, &*MODEL),
        (Head::Tdt, &*TDT),
        (Head::Ctc, &*CTC),
    ]
}

#[test]
fn an_utterance_decodes_alone_as_in_20_random_batches() {
    let recordings = recordings(12);
    for (head, model) in models() {
        assert_eq!(model.manifest().head, head);
        check_same_in_random_batches(model, &slices(&recordings));
    }
}

#[test]
fn batches_that_are_joined_are_searched_as_they_are_alone() {
    // Batches of three, three and one.
    let recordings = recordings(7);
    let three = NonZeroUsize::new(3).expect("3 is not 0");
    for (head, model) in models() {
        let recognize = |mut utterances: Utterances| {
            let found = search(&mut utterances, &SearchRules::default()).expect("it is searched");
            found.hypotheses
        };
        let encode = |batch: &[Vec<f32>]| model.encode(&slices(batch)).expect("it is encoded");
        let expected: Vec<_> = recordings
            .chunks(3)
            .map(encode)
            .flat_map(recognize)
            .collect();
        let encoding = model.begin_encoding(&slices(&recordings), three);
        let (joined, _) = encoding.expect("it is begun").wait();
        let joined = joined.expect("it is encoded");
        assert_eq!(joined.n_encoder_frames().len(), recordings.len());
        let actual = recognize(joined);
        let steps = |it: &[Hypothesis]| -> Vec<Vec<_>> {
            let tokens = it.iter().map(|it| it.tokens.iter());
            tokens
                .map(|it| it.map(|t| (t.id, t.frame, t.duration)).collect())
                .collect()
        };
        assert!(expected.iter().any(|it| !it.tokens.is_empty()), "{head:?}");
        assert_eq!(steps(&actual), steps(&expected), "{head:?}");
    }
    let none = MODEL.begin_encoding(&[], three).err();
    assert!(matches!(none, Some(Error::EmptyBatch)));
}

#[test]
fn every_window_finds_the_same() {
    let recordings = recordings(4);
    let batch = slices(&recordings);
    for (head, model) in models() {
        let recognized = |window| {
            let rules = SearchRules {
                window,
                ..SearchRules::default()
            };
            let mut utterances = model.encode(&batch).expect("the batch is encoded");
            let found = search(&mut utterances, &rules).expect("the batch is searched");
            let steps = |it: rnnt_decode::Hypothesis| -> Vec<_> {
                let step = |token: &rnnt_decode::Token| (token.id, token.frame, token.duration);
                it.tokens.iter().map(step).collect()
            };
            found.hypotheses.into_iter().map(steps).collect::<Vec<_>>()
        };
        let expected = recognized(Window::Fixed(NonZeroUsize::MIN));
        assert!(expected.iter().any(|tokens| !tokens.is_empty()), "{head:?}");
        for window in [3, 64, 1000].map(|n| NonZeroUsize::new(n).expect("not 0")) {
            assert_eq!(
                recognized(Window::Fixed(window)),
                expected,
                "{head:?}, {window}"
            );
        }
    }
}

#[test]
fn a_frame_is_scored_the_same_in_any_window_and_beside_any_lane() {
    let recordings = recordings(3);
    for (head, model) in models() {
        let mut utterances = model.encode(&slices(&recordings)).expect("it is encoded");
        let n_frames = utterances.n_encoder_frames().to_vec();
        let lanes = [2, 0, 1].map(|utterance| Lane {
            utterance,
            frame: n_frames[utterance] / 2,
        });
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        utterances.score(&lanes, 5, &mut together).expect("scored");
        for (at, lane) in lanes.iter().enumerate() {
            for ahead in 0..5 {
                let frame = lane.frame + ahead;
                utterances
                    .score(&[Lane { frame, ..*lane }], 1, &mut alone)
                    .expect("scored");
                let (alone, together) = (alone[0], together[at * 5 + ahead]);
                assert_eq!(alone.token, together.token, "{head:?}, {lane:?} + {ahead}");
                assert_eq!(
                    alone.duration, together.duration,
                    "{head:?}, {lane:?} + {ahead}"
                );
                let distance = (alone.log_prob - together.log_prob).abs();
                assert!(distance < 1e-4, "{head:?}, {lane:?} + {ahead}: {distance}");
            }
        }
    }
}

#[test]
fn durations_are_those_of_the_head() {
    let recordings = recordings(2);
    for (head, model) in models() {
        let mut utterances = model.encode(&slices(&recordings)).expect("it is encoded");
        let lanes = [0, 1].map(|utterance| Lane {
            utterance,
            frame: 0,
        });
        let mut emissions = Vec::new();
        utterances
            .score(&lanes, 40, &mut emissions)
            .expect("scored");
        let blank = utterances.blank();
        for emission in &emissions {
            assert!(
                emission.token <= blank && emission.log_prob <= 0.0,
                "{emission:?}"
            );
            match head {
                Head::Rnnt => assert_eq!(emission.duration, u32::from(emission.token == blank)),
                Head::Tdt => assert!(emission.duration <= 4, "{emission:?}"),
                Head::Ctc => assert_eq!(emission.duration, 1),
            }
        }
        if head == Head::Tdt {
            let first = emissions[0].duration;
            assert!(
                emissions.iter().any(|it| it.duration != first),
                "all are {first}"
            );
        }
    }
}

#[test]
fn frames_past_the_end_are_answered_with_something() {
    let recordings = recordings(2);
    for (head, model) in models() {
        let mut utterances = model.encode(&slices(&recordings)).expect("it is encoded");
        let last = |utterance: usize| utterances.n_encoder_frames()[utterance] - 1;
        let lanes = [0, 1].map(|utterance| Lane {
            utterance,
            frame: last(utterance),
        });
        let mut emissions = Vec::new();
        let scored = utterances.score(&lanes, 64, &mut emissions);
        scored.unwrap_or_else(|why| panic!("{head:?}: {why}"));
        assert_eq!(emissions.len(), 128, "{head:?}");
    }
}

#[test]
fn a_ctc_batch_without_a_single_frame_decodes_to_nothing() {
    let mut utterances = CTC.encode(&[&[], &[0.5; 159]]).expect("it is encoded");
    let found = search(&mut utterances, &SearchRules::default()).expect("it is searched");
    assert!(found.hypotheses.iter().all(|it| it.tokens.is_empty()));
}
