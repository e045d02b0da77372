//! No compute type loses words: word errors on the 300 recordings, compared with those of float32.

use std::fs;

use parakeet_model::ParakeetModel;
use rnnt_decode::{Hypothesis, SearchRules, search};
use serde_json::Value;

use crate::exported::{TYPES, load_typed};
use crate::tiny::{load, project};

/// The allowed increase of the word error rate: 0.3 points.
const MORE_ERRORS: f64 = 0.003;

/// A recording of the test set, and its spoken words.
struct Spoken {
    samples: Vec<f32>,
    words: Vec<String>,
}

fn test_set() -> Vec<Spoken> {
    let folder = project().join("tests/data/tiny-300");
    let truth = fs::read_to_string(folder.join("truth.jsonl"));
    let truth = truth.expect("the test set is part of the repository");
    let mut recordings: Vec<_> = truth
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line is an object");
            let text = |key: &str| line[key].as_str().expect("it is text").to_owned();
            Spoken {
                samples: load(&folder.join(text("id")).with_extension("flac")),
                words: text("text").split(' ').map(str::to_owned).collect(),
            }
        })
        .collect();
    // Sorted by length, because a batch is padded to its longest recording.
    recordings.sort_by_key(|recording| recording.samples.len());
    recordings
}

/// Words missing, added or replaced, as a share of the spoken words.
fn word_error_rate(model: &ParakeetModel, recordings: &[Spoken]) -> f64 {
    let (mut n_errors, mut n_spoken) = (0, 0);
    for batch in recordings.chunks(8) {
        let samples: Vec<_> = batch.iter().map(|it| it.samples.as_slice()).collect();
        let mut utterances = model.encode(&samples).expect("the batch is encoded");
        let found = search(&mut utterances, &SearchRules::default()).expect("it is searched");
        for (recording, hypothesis) in batch.iter().zip(&found.hypotheses) {
            let recognized = text(model, hypothesis);
            let recognized: Vec<_> = recognized.split_whitespace().collect();
            n_errors += distance(&recording.words, &recognized);
            n_spoken += recording.words.len();
        }
    }
    n_errors as f64 / n_spoken as f64
}

fn text(model: &ParakeetModel, hypothesis: &Hypothesis) -> String {
    let piece = |token: &rnnt_decode::Token| model.vocabulary().piece(token.id);
    let pieces: String = hypothesis.tokens.iter().filter_map(piece).collect();
    pieces.replace('\u{2581}', " ")
}

/// The Levenshtein distance, computed row by row.
fn distance(spoken: &[String], recognized: &[&str]) -> usize {
    let mut row: Vec<usize> = (0..=recognized.len()).collect();
    for (s, spoken) in spoken.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = s + 1;
        for (h, recognized) in recognized.iter().enumerate() {
            let replaced = diagonal + usize::from(spoken != recognized);
            diagonal = row[h + 1];
            row[h + 1] = replaced.min(row[h] + 1).min(diagonal + 1);
        }
    }
    row[recognized.len()]
}

#[test]
fn no_compute_type_costs_more_than_three_words_in_a_thousand() {
    let recordings = test_set();
    assert_eq!(recordings.len(), 300);
    let mut models = TYPES.into_iter().filter_map(load_typed);
    let model = models.next().expect("every CPU has float32");
    let float32 = word_error_rate(&model, &recordings);
    println!("float32: {:.2} % of the words wrong", 100.0 * float32);
    assert!(float32 < 0.1, "the network recognizes words at all");
    for model in models {
        let compute_type = model.compute_type();
        let typed = word_error_rate(&model, &recordings);
        println!("{compute_type}: {:.2} %", 100.0 * typed);
        assert!(
            typed <= float32 + MORE_ERRORS,
            "{compute_type}: {typed:.4} of the words wrong, in float32 {float32:.4}"
        );
    }
}
