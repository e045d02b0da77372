//! The order of chunks, and when a recording is done.

use dalston_engine_sdk::audio::{AudioError, AudioFormat};

use super::*;

/// A recording of these samples.
pub(crate) fn waveform(samples: Vec<f32>) -> Waveform {
    Waveform {
        samples,
        source: AudioFormat {
            container: "wave".to_owned(),
            codec: "pcm_s16le".to_owned(),
            sample_rate_hz: 16_000,
            n_channels: 1,
        },
        warnings: Vec::new(),
    }
}

/// A queue of recordings, with a chunk of each length.
fn queue_of(chunks: &[&[usize]]) -> ChunkQueue {
    let mut queue = ChunkQueue::default();
    for (file, lengths) in chunks.iter().enumerate() {
        let waveform = waveform(vec![0.0; lengths.iter().sum()]);
        let mut start = 0;
        let chunk_of = |&length: &usize| {
            let samples = start..start + length;
            start += length;
            Chunk {
                encoded: samples.clone(),
                searched: samples,
                overlap: 0,
            }
        };
        queue.add(file, waveform, lengths.iter().map(chunk_of).collect());
    }
    queue
}

fn files(batch: &[PendingChunk]) -> Vec<usize> {
    batch.iter().map(|chunk| chunk.recording).collect()
}

fn put_all(queue: &mut ChunkQueue, batch: Vec<PendingChunk>) {
    for chunk in batch {
        queue.record_outcome(chunk, NonZeroUsize::MIN, Ok(Hypothesis::default()));
    }
}

fn files_done(queue: &mut ChunkQueue) -> Vec<usize> {
    std::iter::from_fn(|| queue.next_done())
        .map(|(file, _)| file)
        .collect()
}

#[test]
fn a_batch_holds_the_first_recording_and_its_nearest_in_length() {
    let mut queue = queue_of(&[&[50], &[10], &[100], &[49], &[11], &[53]]);
    assert_eq!(files(&queue.take_batch(3, usize::MAX)), [3, 0, 5]);
    assert_eq!(files(&queue.take_batch(3, usize::MAX)), [1, 4, 2]);
    assert!(queue.take_batch(3, usize::MAX).is_empty());
}

#[test]
fn a_batch_holds_no_more_samples_than_allowed_but_always_the_first_chunk() {
    let mut queue = queue_of(&[&[50], &[40], &[45], &[10]]);
    assert_eq!(files(&queue.take_batch(4, 100)), [2, 0]);
    assert_eq!(files(&queue.take_batch(4, 30)), [1]);
    assert_eq!(files(&queue.take_batch(4, 30)), [3]);
}

#[test]
fn a_recording_without_chunks_is_done() {
    let mut queue = queue_of(&[&[], &[5]]);
    assert_eq!(files_done(&mut queue), [0]);
}

#[test]
fn every_chunk_is_taken_once_and_only_the_last_batch_is_short() {
    let lengths: Vec<usize> = (0..97).map(|i| 1 + i * 7919 % 101).collect();
    let chunks: Vec<&[usize]> = lengths.chunks(3).collect();
    let mut queue = queue_of(&chunks);
    let mut taken = Vec::new();
    while queue.n_waiting() > 0 {
        let batch = queue.take_batch(8, usize::MAX);
        assert!(batch.len() == 8 || queue.n_waiting() == 0);
        taken.extend(
            batch
                .iter()
                .map(|chunk| (chunk.recording, chunk.chunk.searched.start)),
        );
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 97);
}

#[test]
fn a_long_recording_lets_short_ones_pass_and_is_not_held_up_by_them() {
    let long = [30; 9];
    let mut queue = queue_of(&[&long, &[5], &[5, 5]]);
    let mut order = Vec::new();
    while queue.n_waiting() > 0 {
        let batch = queue.take_batch(1, usize::MAX);
        order.extend(files(&batch));
        put_all(&mut queue, batch);
    }
    assert_eq!(order[..6], [0, 1, 0, 2, 0, 2]);
    assert_eq!(files_done(&mut queue), [1, 2, 0]);
}

#[test]
fn a_forgotten_recording_leaves_nothing_behind() {
    let mut queue = queue_of(&[&[5, 6, 7], &[8]]);
    let batch = queue.take_batch(1, usize::MAX);
    put_all(&mut queue, batch);
    assert_eq!(
        queue.shares_done(),
        [(0, 5.0 / 18.0), (1, 0.0)],
        "5 of 18 samples"
    );
    let n_before = queue.n_unsearched_samples();
    assert_eq!(queue.n_open(), 2);
    queue.forget(0);
    assert_eq!(n_before - queue.n_unsearched_samples(), 13);
    assert_eq!(queue.n_open(), 1);
    let batch = queue.take_batch(4, usize::MAX);
    assert_eq!(files(&batch), [1]);
    put_all(&mut queue, batch);
    assert_eq!(queue.n_open(), 1, "it is done and not delivered");
    assert_eq!(files_done(&mut queue), [1]);
    assert_eq!(queue.n_open(), 0);
}

#[test]
fn one_failed_chunk_fails_its_recording_and_no_other() {
    let mut queue = queue_of(&[&[5, 6], &[7]]);
    let mut batch = queue.take_batch(3, usize::MAX);
    let fault = batch.remove(0);
    queue.record_outcome(
        fault,
        NonZeroUsize::MIN,
        Err(parakeet_model::Error::EmptyBatch),
    );
    put_all(&mut queue, batch);
    assert_eq!(queue.n_open(), 2);
    queue.fail(2, AudioError::Empty.into());
    assert_eq!(queue.n_open(), 3);
    let outcomes: Vec<_> = std::iter::from_fn(|| queue.next_done())
        .map(|(file, tokens)| (file, tokens.is_ok()))
        .collect();
    assert_eq!(outcomes, [(0, false), (1, true), (2, false)]);
    assert_eq!(queue.n_open(), 0);
}
