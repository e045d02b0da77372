//! Long recordings, cut into chunks: near every seam, the words are those that each sentence gives alone.
//!
//! The recordings have ten minutes each. `E2E_LONG_S=7150` makes them two hours long.

use std::env;
use std::ops::AddAssign;
use std::path::PathBuf;

use e2e_tests::{
    Joint, LongRecording, Spoken, WordErrors, compare, isolation, tiny_transcriber, transcribe,
};
use parakeet_worker::transcriber::{Transcriber, Transcript};
use rnnt_decode::Word;
use segmenter::plan_chunks;

/// The greatest distance from a seam at which a word counts, in seconds.
const NEAR: f64 = 1.0;

/// The range around a place in which texts are aligned, in seconds. Words outside do not change the alignment
/// near the place.
const AROUND: f64 = 8.0;

/// Word errors of a long recording that the sentences alone do not have. The reference is the spoken words,
/// because a sentence alone has errors as well.
#[derive(Debug, Default, Clone, Copy)]
struct Differences {
    /// Number of deleted words.
    lost: usize,
    /// Number of inserted words.
    added: usize,
    /// Number of inserted words that equal a neighbour.
    doubled: usize,
    /// Number of spoken words that are right alone and substituted here.
    changed: usize,
}

impl AddAssign for Differences {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.added += other.added;
        self.doubled += other.doubled;
        self.changed += other.changed;
    }
}

fn words(transcript: &Transcript) -> Vec<Word> {
    let segments = transcript.segments.iter();
    segments.flat_map(|segment| segment.words.clone()).collect()
}

/// The words of each sentence when it is transcribed alone, with times from the start of the recording.
fn words_alone(transcriber: &Transcriber, long: &LongRecording) -> Vec<Word> {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let place = |at: usize| dir.path().join(format!("{at:05}.wav"));
    let files: Vec<_> = (0..long.sentences.len()).map(place).collect();
    for (samples, file) in long.sentences.iter().zip(&files) {
        long.write(samples.clone(), file)
            .expect("it can be written");
    }
    let transcripts = transcribe(transcriber, &files);
    let mut all = Vec::new();
    for (samples, file) in long.sentences.iter().zip(&files) {
        let offset = samples.start as f64 / 16_000.0;
        all.extend(words(&transcripts[file]).into_iter().map(|word| Word {
            start: word.start + offset,
            end: word.end + offset,
            ..word
        }));
    }
    all
}

fn within(words: &[Word], at: f64, reach: f64) -> &[Word] {
    let start = words.partition_point(|word| word.start < at - reach);
    let end = words.partition_point(|word| word.start < at + reach);
    &words[start..end.max(start)]
}

fn texts(words: &[Word]) -> Vec<&str> {
    words.iter().map(|word| word.text.as_str()).collect()
}

/// The differences within [`NEAR`] of a place.
fn differences(spoken: &[Word], alone: &[Word], recognized: &[Word], at: f64) -> Differences {
    let [spoken, alone, recognized] =
        [spoken, alone, recognized].map(|words| within(words, at, AROUND));
    let [by_alone, by_recognized] =
        [alone, recognized].map(|words| compare(&texts(spoken), &texts(words)));
    let is_near = |word: &Word| (word.start - at).abs() <= NEAR;

    let near = (0..spoken.len()).filter(|&place| is_near(&spoken[place]));
    let (missing, there): (Vec<_>, Vec<_>) =
        near.partition(|place| by_recognized.missing.contains(place));
    let lost = missing
        .iter()
        .filter(|place| !by_alone.missing.contains(place));
    let is_right = |words: &WordErrors, place: usize| words.right.iter().any(|&(s, _)| s == place);
    let changed = there
        .iter()
        .filter(|&&place| is_right(&by_alone, place) && !is_right(&by_recognized, place));

    let is_added_alone = |word: &Word| {
        let mut added = by_alone.added.iter().map(|&place| &alone[place]);
        added.any(|it| it.text == word.text && (it.start - word.start).abs() < NEAR)
    };
    let places = by_recognized.added.iter().copied();
    let added: Vec<_> = places
        .filter(|&place| is_near(&recognized[place]) && !is_added_alone(&recognized[place]))
        .collect();
    let doubled = added.iter().filter(|&&place| {
        let beside = [place.checked_sub(1), Some(place + 1)];
        let mut beside = beside
            .into_iter()
            .flatten()
            .filter_map(|at| recognized.get(at));
        beside.any(|it| it.text == recognized[place].text)
    });
    Differences {
        lost: lost.count(),
        added: added.len(),
        doubled: doubled.count(),
        changed: changed.count(),
    }
}

/// The word errors of a whole recording, counted minute by minute, because the memory for comparing two texts
/// grows with the product of their lengths.
fn n_errors(expected: &[Word], recognized: &[Word]) -> usize {
    let end = expected.last().map_or(0.0, |word| word.end);
    let minutes = (0..)
        .map(|minute| f64::from(minute) * 60.0)
        .take_while(|&start| start < end);
    let errors = minutes.map(|start| {
        let [expected, recognized] =
            [expected, recognized].map(|it| texts(within(it, start + 30.0, 30.0)));
        compare(&expected, &recognized).n_errors
    });
    errors.sum()
}

/// The mean delay of word starts against the spoken words in five minutes, in seconds.
fn lateness(spoken: &[Word], recognized: &[Word], middle: f64) -> f64 {
    let [spoken, recognized] = [spoken, recognized].map(|it| within(it, middle, 150.0));
    let right = compare(&texts(spoken), &texts(recognized)).right;
    let late = right
        .iter()
        .map(|&(s, h)| recognized[h].start - spoken[s].start);
    late.sum::<f64>() / right.len() as f64
}

/// Transcribes a long recording and checks the words at its seams.
fn check(joint: Joint) {
    let seconds = env::var("E2E_LONG_S").map_or(600.0, |it| it.parse().expect("seconds"));
    let long = LongRecording::new(joint, seconds);
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let path: PathBuf = dir.path().join("long.wav");
    long.write(0..long.samples.len(), &path)
        .expect("it can be written");
    let transcriber = tiny_transcriber(4, 30);
    let recognized = words(&transcribe(&transcriber, std::slice::from_ref(&path))[&path]);
    let alone = words_alone(&transcriber, &long);
    let word = |it: &Spoken| Word {
        text: it.word.clone(),
        start: it.start,
        end: it.end,
        confidence: None,
    };
    let spoken: Vec<_> = long.words.iter().map(word).collect();

    let chunks = plan_chunks(&long.samples, &transcriber.settings.chunk_rules);
    let n_seams = chunks.len() - 1;
    let n_hard = chunks.iter().filter(|chunk| chunk.overlap > 0).count();
    let [mut seams, mut from_alone, mut elsewhere] = [Differences::default(); 3];
    for chunk in &chunks[1..] {
        let seam = (chunk.searched.start + chunk.overlap / 2) as f64 / 16_000.0;
        seams += differences(&spoken, &alone, &recognized, seam);
        // With the words of the sentences alone as the reference.
        from_alone += differences(&alone, &alone, &recognized, seam);
        let middle = chunk.searched.start.midpoint(chunk.searched.end) as f64 / 16_000.0;
        elsewhere += differences(&spoken, &alone, &recognized, middle);
    }
    let end = long.samples.len() as f64 / 16_000.0;
    let drift = lateness(&spoken, &recognized, end - 150.0) - lateness(&spoken, &recognized, 150.0);
    println!(
        "{}: {end:.0} s, {n_seams} seams, {n_hard} of them hard; at seams {seams:?}, from what is recognized \
         alone {from_alone:?}; in the middle of chunks {elsewhere:?}; of {} words {} wrong, alone {}; drift {drift:.3} s",
        joint.name(),
        spoken.len(),
        n_errors(&spoken, &recognized),
        n_errors(&spoken, &alone),
    );
    // In running speech and next to noise, a search that starts in the middle may be wrong. Also, the
    // transcript of a sentence changes a little with its neighbours, in the middle of chunks as well.
    let is_quiet = !matches!(joint, Joint::NoPauses | Joint::Noise);
    let hundredth = n_seams.div_ceil(100);
    let (most, most_in_all) = if is_quiet {
        (0, n_seams / 50)
    } else {
        (hundredth, elsewhere.lost + elsewhere.added + 3)
    };
    assert!(
        seams.lost <= most && seams.doubled <= most && seams.lost + seams.added <= most_in_all,
        "{seams:?} at {n_seams} seams, elsewhere {elsewhere:?}"
    );
    assert!(
        from_alone.lost <= hundredth && from_alone.doubled <= hundredth,
        "{from_alone:?} from what is recognized alone at {n_seams} seams"
    );
    assert!(drift.abs() < 0.08, "words start {drift} s later at the end");
    let times: Vec<_> = recognized
        .iter()
        .flat_map(|word| [word.start, word.end])
        .collect();
    assert!(times.is_sorted() && times.last() <= Some(&end));
}

#[test]
fn with_pauses_no_word_is_lost_or_doubled_at_a_seam() {
    let _guard = isolation::shared();
    check(Joint::Pauses);
}

#[test]
fn without_pauses_hardly_a_word_is_lost_or_doubled_at_a_seam() {
    let _guard = isolation::shared();
    check(Joint::NoPauses);
}

#[test]
fn around_a_long_silence_no_word_is_lost_or_doubled_at_a_seam() {
    let _guard = isolation::shared();
    check(Joint::LongSilence);
}

#[test]
fn in_noise_hardly_a_word_is_lost_or_doubled_at_a_seam() {
    let _guard = isolation::shared();
    check(Joint::Noise);
}

#[test]
fn across_steps_of_thirty_db_no_word_is_lost_or_doubled_at_a_seam() {
    let _guard = isolation::shared();
    check(Joint::LevelSteps);
}
