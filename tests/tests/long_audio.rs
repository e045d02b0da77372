//! Long recordings, cut into chunks: near every seam stands what each sentence gives alone.
//!
//! Ten minutes of each kind; `E2E_LONG_S=7150` makes it two hours.

use std::env;
use std::ops::AddAssign;
use std::path::PathBuf;

use e2e_tests::{Joint, LongRecording, Spoken, WordErrors, compare, tiny_engine, transcribe};
use parakeet_worker::engine::{Engine, Transcript};
use rnnt_decode::Word;
use segmenter::plan_chunks;

/// How far from a seam words count, in seconds.
const NEAR: f64 = 1.0;

/// How far around a place texts are compared, in seconds: beyond it the alignment is not disturbed.
const AROUND: f64 = 8.0;

/// What a long recording loses and adds where each sentence alone does not: of the words that are spoken,
/// since a sentence alone is not always heard right either.
#[derive(Debug, Default, Clone, Copy)]
struct Differences {
    /// Spoken words with nothing in their place.
    lost: usize,
    /// Words in the place of nothing.
    added: usize,
    /// Of the added words those that repeat the one beside them.
    doubled: usize,
    /// Spoken words that are right alone, and another word here.
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

/// What each sentence of a recording gives alone, in the time of the recording.
fn words_alone(engine: &Engine, long: &LongRecording) -> Vec<Word> {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let place = |at: usize| dir.path().join(format!("{at:05}.wav"));
    let files: Vec<_> = (0..long.sentences.len()).map(place).collect();
    for (samples, file) in long.sentences.iter().zip(&files) {
        long.write(samples.clone(), file)
            .expect("it can be written");
    }
    let transcripts = transcribe(engine, &files);
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

/// The differences within a second of a place.
fn differences(spoken: &[Word], alone: &[Word], heard: &[Word], at: f64) -> Differences {
    let [spoken, alone, heard] = [spoken, alone, heard].map(|words| within(words, at, AROUND));
    let [by_alone, by_heard] = [alone, heard].map(|words| compare(&texts(spoken), &texts(words)));
    let is_near = |word: &Word| (word.start - at).abs() <= NEAR;

    let near = (0..spoken.len()).filter(|&place| is_near(&spoken[place]));
    let (missing, there): (Vec<_>, Vec<_>) =
        near.partition(|place| by_heard.missing.contains(place));
    let lost = missing
        .iter()
        .filter(|place| !by_alone.missing.contains(place));
    let is_right = |words: &WordErrors, place: usize| words.right.iter().any(|&(s, _)| s == place);
    let changed = there
        .iter()
        .filter(|&&place| is_right(&by_alone, place) && !is_right(&by_heard, place));

    let is_added_alone = |word: &Word| {
        let mut added = by_alone.added.iter().map(|&place| &alone[place]);
        added.any(|it| it.text == word.text && (it.start - word.start).abs() < NEAR)
    };
    let places = by_heard.added.iter().copied();
    let added: Vec<_> = places
        .filter(|&place| is_near(&heard[place]) && !is_added_alone(&heard[place]))
        .collect();
    let doubled = added.iter().filter(|&&place| {
        let beside = [place.checked_sub(1), Some(place + 1)];
        let mut beside = beside.into_iter().flatten().filter_map(|at| heard.get(at));
        beside.any(|it| it.text == heard[place].text)
    });
    Differences {
        lost: lost.count(),
        added: added.len(),
        doubled: doubled.count(),
        changed: changed.count(),
    }
}

/// Words wrong in all of a recording, minute by minute: texts of hours are too long to compare.
fn n_errors(expected: &[Word], heard: &[Word]) -> usize {
    let end = expected.last().map_or(0.0, |word| word.end);
    let minutes = (0..)
        .map(|minute| f64::from(minute) * 60.0)
        .take_while(|&start| start < end);
    let errors = minutes.map(|start| {
        let [expected, heard] = [expected, heard].map(|it| texts(within(it, start + 30.0, 30.0)));
        compare(&expected, &heard).n_errors
    });
    errors.sum()
}

/// How much later than spoken the words of five minutes start on average, in seconds.
fn lateness(spoken: &[Word], heard: &[Word], middle: f64) -> f64 {
    let [spoken, heard] = [spoken, heard].map(|it| within(it, middle, 150.0));
    let right = compare(&texts(spoken), &texts(heard)).right;
    let late = right.iter().map(|&(s, h)| heard[h].start - spoken[s].start);
    late.sum::<f64>() / right.len() as f64
}

/// Transcribes a long recording, and compares.
fn check(joint: Joint) {
    let seconds = env::var("E2E_LONG_S").map_or(600.0, |it| it.parse().expect("seconds"));
    let long = LongRecording::new(joint, seconds);
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let path: PathBuf = dir.path().join("long.wav");
    long.write(0..long.samples.len(), &path)
        .expect("it can be written");
    let engine = tiny_engine(4, 30);
    let heard = words(&transcribe(&engine, std::slice::from_ref(&path))[&path]);
    let alone = words_alone(&engine, &long);
    let word = |it: &Spoken| Word {
        text: it.word.clone(),
        start: it.start,
        end: it.end,
        confidence: None,
    };
    let spoken: Vec<_> = long.words.iter().map(word).collect();

    let chunks = plan_chunks(&long.samples, &engine.settings.chunk_rules);
    let n_seams = chunks.len() - 1;
    let n_hard = chunks.iter().filter(|chunk| chunk.overlap > 0).count();
    let [mut seams, mut from_alone, mut elsewhere] = [Differences::default(); 3];
    for chunk in &chunks[1..] {
        let seam = (chunk.searched.start + chunk.overlap / 2) as f64 / 16_000.0;
        seams += differences(&spoken, &alone, &heard, seam);
        // As if what is heard alone were what is spoken.
        from_alone += differences(&alone, &alone, &heard, seam);
        let middle = chunk.searched.start.midpoint(chunk.searched.end) as f64 / 16_000.0;
        elsewhere += differences(&spoken, &alone, &heard, middle);
    }
    let end = long.samples.len() as f64 / 16_000.0;
    let drift = lateness(&spoken, &heard, end - 150.0) - lateness(&spoken, &heard, 150.0);
    println!(
        "{}: {end:.0} s, {n_seams} seams, {n_hard} of them hard; at seams {seams:?}, from what is heard \
         alone {from_alone:?}; in the middle of chunks {elsewhere:?}; of {} words {} wrong, alone {}; drift {drift:.3} s",
        joint.name(),
        spoken.len(),
        n_errors(&spoken, &heard),
        n_errors(&spoken, &alone),
    );
    // In running speech, and beside noise, a search that starts afresh may guess; and a sentence is heard a
    // little differently with every neighbour, in the middle of chunks as well.
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
        "{from_alone:?} from what is heard alone at {n_seams} seams"
    );
    assert!(drift.abs() < 0.08, "words start {drift} s later at the end");
    let times: Vec<_> = heard
        .iter()
        .flat_map(|word| [word.start, word.end])
        .collect();
    assert!(times.is_sorted() && times.last() <= Some(&end));
}

#[test]
fn with_pauses_no_word_is_lost_or_doubled_at_a_seam() {
    check(Joint::Pauses);
}

#[test]
fn without_pauses_hardly_a_word_is_lost_or_doubled_at_a_seam() {
    check(Joint::NoPauses);
}

#[test]
fn around_a_long_silence_no_word_is_lost_or_doubled_at_a_seam() {
    check(Joint::LongSilence);
}

#[test]
fn in_noise_hardly_a_word_is_lost_or_doubled_at_a_seam() {
    check(Joint::Noise);
}

#[test]
fn across_steps_of_thirty_db_no_word_is_lost_or_doubled_at_a_seam() {
    check(Joint::LevelSteps);
}
