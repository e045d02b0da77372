//! An utterance alone gives the same tokens as in any batch: a relation that needs no golden.

use crate::tiny::{MODEL, archive, recognize, recordings};
use parakeet_model::ParakeetModel;
use rnnt_decode::{Hypothesis, SearchRules, Window, search};
use tch::{CModule, IValue, Tensor};

/// Float noise of a log-probability: libtorch sums in another order for other shapes.
const LOG_PROB_TOLERANCE: f32 = 1e-3;

pub(crate) fn slices(recordings: &[Vec<f32>]) -> Vec<&[f32]> {
    recordings.iter().map(Vec::as_slice).collect()
}

fn alone(recordings: &[&[f32]]) -> Vec<Hypothesis> {
    let recognize_one = |&samples: &&[f32]| recognize(&[samples], Window::default()).remove(0);
    recordings.iter().map(recognize_one).collect()
}

#[track_caller]
fn check_same(actual: &[Hypothesis], expected: &[Hypothesis]) {
    assert_eq!(actual.len(), expected.len());
    let n_tokens: usize = expected
        .iter()
        .map(|hypothesis| hypothesis.tokens.len())
        .sum();
    assert!(
        n_tokens > 0,
        "nothing is recognized at all, so nothing is compared"
    );
    for (utterance, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let steps =
            |it: &Hypothesis| -> Vec<_> { it.tokens.iter().map(|t| (t.id, t.frame)).collect() };
        assert_eq!(
            steps(actual),
            steps(expected),
            "(token, frame) of utterance {utterance}"
        );
        for (actual, expected) in actual.tokens.iter().zip(&expected.tokens) {
            let distance = (actual.log_prob - expected.log_prob).abs();
            assert!(
                distance < LOG_PROB_TOLERANCE,
                "utterance {utterance}, frame {}: log_prob {} and {}",
                actual.frame,
                actual.log_prob,
                expected.log_prob
            );
        }
    }
}

/// Draws 20 batches of 2 to 6 of the recordings, in any order. In each of them a recording must give the same
/// tokens, frames and durations as alone.
#[track_caller]
pub(crate) fn check_same_in_random_batches(model: &ParakeetModel, recordings: &[&[f32]]) {
    let recognize = |batch: &[&[f32]]| -> Vec<Vec<_>> {
        let mut utterances = model.encode(batch).expect("the batch is encoded");
        let found = search(&mut utterances, &SearchRules::default()).expect("it is searched");
        let steps = |it: &Hypothesis| {
            let tokens = it.tokens.iter();
            tokens.map(|it| (it.id, it.frame, it.duration)).collect()
        };
        found.hypotheses.iter().map(steps).collect()
    };
    let expected: Vec<_> = recordings
        .iter()
        .map(|&samples| recognize(&[samples]).remove(0))
        .collect();
    let n_tokens: usize = expected.iter().map(Vec::len).sum();
    assert!(
        n_tokens > recordings.len(),
        "{n_tokens} tokens are recognized"
    );

    // The quick generator of Numerical Recipes, so that every machine draws the same batches.
    let mut state = 1_u32;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % limit
    };
    for _ in 0..20 {
        let size = 2 + below(5);
        let batch: Vec<_> = (0..size).map(|_| below(recordings.len())).collect();
        let samples: Vec<_> = batch.iter().map(|&at| recordings[at]).collect();
        for (&at, recognized) in batch.iter().zip(recognize(&samples)) {
            assert_eq!(
                recognized, expected[at],
                "recording {at} in the batch {batch:?}"
            );
        }
    }
}

#[test]
fn an_utterance_decodes_alone_as_in_a_batch_of_7_and_of_32() {
    let recordings = recordings(32);
    let recordings = slices(&recordings);
    let expected = alone(&recordings);
    for size in [7, 32] {
        let batches = recordings
            .chunks(size)
            .flat_map(|batch| recognize(batch, Window::default()));
        check_same(&batches.collect::<Vec<_>>(), &expected);
    }
}

#[test]
fn the_order_of_a_batch_does_not_matter() {
    let recordings = recordings(6);
    let mut recordings = slices(&recordings);
    let expected = recognize(&recordings, Window::default());
    recordings.reverse();
    let mut reversed = recognize(&recordings, Window::default());
    reversed.reverse();
    check_same(&reversed, &expected);
}

#[test]
fn a_loud_neighbour_changes_nothing() {
    let recordings = recordings(2);
    let loud: Vec<f32> = recordings[1]
        .iter()
        .map(|sample| (sample * 50.0).clamp(-1.0, 1.0))
        .collect();
    let recognized = recognize(&[&recordings[0], &loud], Window::default());
    check_same(&recognized[..1], &alone(&[&recordings[0]]));
}

#[test]
fn empty_and_tiny_neighbours_have_no_words_and_change_nothing() {
    let recordings = recordings(1);
    // The neighbours are: no samples, less than one feature frame, and one feature frame.
    let recognized = recognize(
        &[&[], &recordings[0], &[0.5; 159], &[0.5; 160]],
        Window::default(),
    );
    check_same(&recognized[1..2], &alone(&[&recordings[0]]));
    assert_eq!(recognized[0].tokens, []);
    assert_eq!(recognized[2].tokens, []);
    assert_eq!(
        recognize(&[&[]], Window::default()),
        [Hypothesis::default()]
    );
}

/// The encoder output of a batch, (N, T', D), and the valid frames of each row.
fn encoder_output(network: &CModule, batch: &[&[f32]]) -> (Tensor, Vec<i64>) {
    let rows: Vec<_> = batch
        .iter()
        .map(|samples| Tensor::from_slice(samples))
        .collect();
    let audio = Tensor::pad_sequence(&rows, true, 0.0, "right");
    let lengths: Vec<i64> = batch.iter().map(|samples| samples.len() as i64).collect();
    let arguments: [IValue; 2] = [audio.into(), Tensor::from_slice(&lengths).into()];
    let answer: IValue = network
        .method_is("encoder_output", &arguments)
        .expect("it encodes");
    let (encoded, n_frames): (Tensor, Tensor) = answer.try_into().expect("it answers with two");
    (
        encoded,
        n_frames
            .try_into()
            .expect("the second is a list of numbers"),
    )
}

#[test]
fn encoder_output_alone_is_within_1e_4_of_that_in_a_batch() {
    let network = archive();
    let recordings = recordings(7);
    let recordings = slices(&recordings);
    let (together, n_frames) = encoder_output(&network, &recordings);
    for (row, samples) in recordings.iter().enumerate() {
        let (alone, _) = encoder_output(&network, &[samples]);
        let valid = together.get(row as i64).narrow(0, 0, n_frames[row]);
        assert_eq!(
            alone.size()[1],
            n_frames[row],
            "encoder frames of utterance {row}"
        );
        let worst = (alone.get(0) - valid).abs().max().double_value(&[]);
        assert!(
            worst < 1e-4,
            "utterance {row}: largest difference {worst:e}, of values around 1"
        );
    }
}

#[test]
fn an_encoder_frame_is_made_of_eight_whole_feature_frames_or_what_is_left() {
    use rnnt_decode::Transducer as _;
    let lengths = [0, 159, 160, 1279, 1280, 1439, 1440, 16_000, 16_159, 100_000];
    let silence = vec![0.0; 100_000];
    let batch: Vec<_> = lengths
        .iter()
        .map(|&n_samples| &silence[..n_samples])
        .collect();
    let utterances = MODEL.encode(&batch).expect("the batch is encoded");
    let expected = lengths.map(|n_samples: usize| (n_samples / 160).div_ceil(8));
    assert_eq!(utterances.n_encoder_frames(), expected);
}
