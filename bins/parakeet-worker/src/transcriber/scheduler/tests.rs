//! What the scheduler does when memory runs out and when chunks fail.

mod script;

use std::collections::BTreeMap;

use dalston_engine_sdk::audio::Waveform;
use rnnt_decode::TokenId;
use segmenter::plan_chunks;

use super::*;
use crate::transcriber::chunk_queue::RecordingTokens;
use crate::transcriber::chunk_queue::tests::waveform;
use crate::transcriber::transcript;
use script::Script;

/// Samples per encoder frame in these tests.
const STRIDE: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
const EIGHT: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// A recording whose every frame begins with its own number.
fn recording(n_frames: usize) -> Waveform {
    let frames = (0..n_frames).flat_map(|frame| [frame as f32, 1.0, -1.0, 1.0]);
    waveform(frames.collect())
}

fn rules() -> ChunkRules {
    ChunkRules::of_length(STRIDE, NonZeroUsize::new(200).expect("200 is not 0"))
}

/// One batch, as the transcriber runs it; false if no chunk waits.
fn run_batch(scheduler: &mut BatchScheduler<Script>, queue: &mut ChunkQueue) -> bool {
    let stats = &mut Stats::default();
    let batch = scheduler.encode(queue, stats);
    let has_run = batch.is_some();
    if let Some(batch) = batch {
        scheduler.search(batch, queue, stats);
    }
    has_run
}

/// Searches recordings in batches of chunks of at most 200 frames. Returns the queue when no chunk is left, and
/// the number of recognised samples.
fn search_all(script: &Script, batch_size: usize, lengths: &[usize]) -> (ChunkQueue, usize) {
    let rules = rules();
    let mut queue = ChunkQueue::default();
    for (file, &n_frames) in lengths.iter().enumerate() {
        let waveform = recording(n_frames);
        let chunks = plan_chunks(&waveform.samples, &rules);
        queue.add(file, waveform, chunks);
    }
    let batch_size = NonZeroUsize::new(batch_size).expect("a batch is not empty");
    let mut scheduler = BatchScheduler::new(script, batch_size, &rules);
    while run_batch(&mut scheduler, &mut queue) {}
    let n_done = queue.n_recognized_samples();
    (queue, n_done)
}

/// Searches recordings in batches of 8 chunks. Each must come back whole, and no part of it may be searched
/// again once it was searched.
fn check(script: &Script, lengths: &[usize]) {
    let (mut queue, n_done) = search_all(script, 8, lengths);
    assert_eq!(n_done, lengths.iter().sum::<usize>() * STRIDE.get());

    let mut kept = Vec::new();
    let mut done = all_done(&mut queue);
    for (file, &n_frames) in lengths.iter().enumerate() {
        let tokens = done.remove(&file).expect("every recording is done");
        let mut next = 0;
        for (chunk, tokens) in tokens.expect("every recording is searched").chunks {
            let first = chunk.searched.start / STRIDE.get();
            let numbers = (first..).map(|frame| (frame, frame as TokenId));
            assert!(
                tokens
                    .iter()
                    .map(|it| (it.frame, it.id))
                    .eq(numbers.take(tokens.len()))
            );
            assert_eq!(first + chunk.overlap / STRIDE.get(), next);
            next = first + tokens.len();
            kept.extend(tokens.iter().map(|it| it.id));
        }
        assert_eq!(next, n_frames);
    }
    let mut recognized = script.recognized.take();
    recognized.sort_unstable();
    kept.sort_unstable();
    assert_eq!(
        recognized, kept,
        "what was searched once is not searched again"
    );
}

fn all_done(queue: &mut ChunkQueue) -> BTreeMap<usize, Result<RecordingTokens, transcript::Error>> {
    std::iter::from_fn(|| queue.next_done()).collect()
}

/// A script that encodes one batch after the other, and one that encodes ahead.
fn scripts(script: impl Fn() -> Script) -> [Script; 2] {
    [false, true].map(|encodes_ahead| Script {
        encodes_ahead,
        ..script()
    })
}

#[test]
fn with_memory_enough_nothing_fails() {
    for script in scripts(Script::default) {
        check(&script, &[3000, 100]);
        assert_eq!(script.n_failures.get(), 0);
    }
}

#[test]
fn a_batch_that_does_not_fit_is_halved_once_for_all() {
    for script in scripts(|| Script {
        room: 4 * 200 * 4,
        ..Script::default()
    }) {
        check(&script, &[6000]);
        // Two of the halves do not fit together: that is tried once, too.
        let n_expected = 1 + usize::from(script.encodes_ahead);
        assert_eq!(script.n_failures.get(), n_expected);
    }
}

#[test]
fn a_batch_that_fits_alone_and_not_beside_another_is_heard_whole() {
    let in_turn = Script::default();
    check(&in_turn, &[6000]);
    // Room for one batch of eight chunks and a half.
    let ahead = Script {
        encodes_ahead: true,
        room: 12 * 200 * 4,
        ..Script::default()
    };
    check(&ahead, &[6000]);
    assert_eq!(ahead.n_failures.get(), 1, "it is remembered");
    assert_eq!(ahead.n_searches.get(), in_turn.n_searches.get());
    assert_eq!(ahead.held.get(), 0, "all memory was given back");
}

#[test]
fn a_chunk_that_does_not_fit_alone_is_cut_and_so_are_those_after_it() {
    for script in scripts(|| Script {
        room: 80 * 4,
        ..Script::default()
    }) {
        check(&script, &[3000, 150]);
        // Eight chunks, four, two, one, half of one, a quarter.
        assert!(
            script.n_failures.get() <= 6,
            "{} failures",
            script.n_failures.get()
        );
    }
}

#[test]
fn memory_that_gives_out_at_three_places_costs_no_word() {
    // Two hours of frames. Even calls encode and odd calls search, unless a batch is encoded ahead.
    for faults in [
        vec![0, 40, 70],
        vec![1, 41, 70],
        vec![1, 2, 3],
        vec![2, 4, 6],
        vec![4, 90, 91],
    ] {
        for script in scripts(|| Script {
            faults: faults.clone(),
            ..Script::default()
        }) {
            check(&script, &[90_000]);
            assert_eq!(script.n_failures.get(), 3);
        }
    }
}

#[test]
fn a_device_without_room_for_anything_fails_the_recording() {
    for script in scripts(|| Script {
        room: 1,
        ..Script::default()
    }) {
        let (mut queue, _) = search_all(&script, 1, &[150]);
        let (_, tokens) = queue.next_done().expect("it is done");
        assert!(tokens.is_err());
    }
}

#[test]
fn a_chunk_at_fault_fails_its_recording_and_no_other() {
    for batch_size in [1, 8] {
        for script in scripts(|| Script {
            broken: Some(170),
            ..Script::default()
        }) {
            let (mut queue, _) = search_all(&script, batch_size, &[150, 180, 160]);
            let done = all_done(&mut queue);
            let outcomes: Vec<_> = done.values().map(Result::is_ok).collect();
            assert_eq!(outcomes, [true, false, true]);
        }
    }
}

#[test]
fn of_a_recording_that_failed_no_more_is_heard() {
    for script in scripts(|| Script {
        broken: Some(170),
        ..Script::default()
    }) {
        let (mut queue, n_done) = search_all(&script, 8, &[90_000]);
        let n_samples = 90_000 * STRIDE.get();
        assert_eq!(n_done, n_samples, "all of it may be let go");
        assert!(script.n_calls.get() <= 30, "{} calls", script.n_calls.get());
        let (_, tokens) = queue.next_done().expect("it is done");
        assert!(tokens.is_err());
    }
}

#[test]
fn a_recording_that_is_forgotten_while_a_batch_of_it_is_encoded_costs_the_others_nothing() {
    // Without a fault, and with one in the batch that was encoded ahead, or in the one before it.
    for faults in [vec![], vec![1], vec![2], vec![3]] {
        let script = Script {
            encodes_ahead: true,
            faults,
            ..Script::default()
        };
        let rules = rules();
        let mut queue = ChunkQueue::default();
        let lengths = [1000, 3000];
        for (file, n_frames) in lengths.into_iter().enumerate() {
            let waveform = recording(n_frames);
            let chunks = plan_chunks(&waveform.samples, &rules);
            queue.add(file, waveform, chunks);
        }
        let mut scheduler = BatchScheduler::new(&script, EIGHT, &rules);
        run_batch(&mut scheduler, &mut queue);
        // The scheduler holds these samples of the recording, and counts them when their batch is through.
        let ahead = scheduler.ahead.iter().flat_map(|it| &it.chunks);
        let n_in_flight: usize = ahead
            .filter(|it| it.recording == 1)
            .map(|it| it.chunk.searched.len() - it.chunk.overlap)
            .sum();
        let n_unsearched = queue.n_unsearched_samples();
        queue.forget(1);
        let n_forgotten = n_unsearched - queue.n_unsearched_samples() - n_in_flight;
        while run_batch(&mut scheduler, &mut queue) {}
        let n_samples = lengths.iter().sum::<usize>() * STRIDE.get();
        assert_eq!(
            n_forgotten + queue.n_recognized_samples(),
            n_samples,
            "every sample is forgotten or counted as recognised, once"
        );
        let n_unsearched = queue.n_unsearched_samples();
        assert_eq!(n_unsearched, 0, "all of it may be let go");
        let done = all_done(&mut queue);
        assert_eq!(done.keys().collect::<Vec<_>>(), [&0]);
        assert!(done[&0].is_ok());
    }
}
