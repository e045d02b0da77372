//! Which chunks go next, and when a recording is done.

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

/// Recordings of one chunk per length.
fn recordings_of(chunks: &[&[usize]]) -> Recordings {
    let mut recordings = Recordings::default();
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
        recordings.open(file, waveform, lengths.iter().map(chunk_of).collect());
    }
    recordings
}

fn files(batch: &[ChunkOf]) -> Vec<usize> {
    batch.iter().map(|chunk| chunk.file).collect()
}

fn put_all(recordings: &mut Recordings, batch: Vec<ChunkOf>) {
    for chunk in batch {
        recordings.put(chunk, NonZeroUsize::MIN, Ok(Hypothesis::default()));
    }
}

fn files_done(recordings: &mut Recordings) -> Vec<usize> {
    std::iter::from_fn(|| recordings.next_done())
        .map(|(file, _)| file)
        .collect()
}

#[test]
fn a_batch_holds_the_first_recording_and_its_nearest_in_length() {
    let mut recordings = recordings_of(&[&[50], &[10], &[100], &[49], &[11], &[53]]);
    assert_eq!(files(&recordings.take_batch(3, usize::MAX)), [3, 0, 5]);
    assert_eq!(files(&recordings.take_batch(3, usize::MAX)), [1, 4, 2]);
    assert!(recordings.take_batch(3, usize::MAX).is_empty());
}

#[test]
fn a_batch_holds_no_more_samples_than_allowed_but_always_the_first_chunk() {
    let mut recordings = recordings_of(&[&[50], &[40], &[45], &[10]]);
    assert_eq!(files(&recordings.take_batch(4, 100)), [2, 0]);
    assert_eq!(files(&recordings.take_batch(4, 30)), [1]);
    assert_eq!(files(&recordings.take_batch(4, 30)), [3]);
}

#[test]
fn a_recording_without_chunks_is_done() {
    let mut recordings = recordings_of(&[&[], &[5]]);
    assert_eq!(files_done(&mut recordings), [0]);
}

#[test]
fn every_chunk_is_taken_once_and_only_the_last_batch_is_short() {
    let lengths: Vec<usize> = (0..97).map(|i| 1 + i * 7919 % 101).collect();
    let chunks: Vec<&[usize]> = lengths.chunks(3).collect();
    let mut recordings = recordings_of(&chunks);
    let mut taken = Vec::new();
    while recordings.n_waiting() > 0 {
        let batch = recordings.take_batch(8, usize::MAX);
        assert!(batch.len() == 8 || recordings.n_waiting() == 0);
        taken.extend(
            batch
                .iter()
                .map(|chunk| (chunk.file, chunk.chunk.searched.start)),
        );
    }
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 97);
}

#[test]
fn a_long_recording_lets_short_ones_pass_and_is_not_held_up_by_them() {
    let long = [30; 9];
    let mut recordings = recordings_of(&[&long, &[5], &[5, 5]]);
    let mut order = Vec::new();
    while recordings.n_waiting() > 0 {
        let batch = recordings.take_batch(1, usize::MAX);
        order.extend(files(&batch));
        put_all(&mut recordings, batch);
    }
    assert_eq!(order[..6], [0, 1, 0, 2, 0, 2]);
    assert_eq!(files_done(&mut recordings), [1, 2, 0]);
}

#[test]
fn a_forgotten_recording_leaves_nothing_behind() {
    let mut recordings = recordings_of(&[&[5, 6, 7], &[8]]);
    let batch = recordings.take_batch(1, usize::MAX);
    put_all(&mut recordings, batch);
    assert_eq!(
        recordings.shares_done(),
        [(0, 5.0 / 18.0), (1, 0.0)],
        "5 of 18 samples"
    );
    assert_eq!(recordings.forget(0), 13);
    let batch = recordings.take_batch(4, usize::MAX);
    assert_eq!(files(&batch), [1]);
    put_all(&mut recordings, batch);
    assert_eq!(files_done(&mut recordings), [1]);
}

#[test]
fn one_failed_chunk_fails_its_recording_and_no_other() {
    let mut recordings = recordings_of(&[&[5, 6], &[7]]);
    let mut batch = recordings.take_batch(3, usize::MAX);
    let fault = batch.remove(0);
    recordings.put(
        fault,
        NonZeroUsize::MIN,
        Err(parakeet_model::Error::EmptyBatch),
    );
    put_all(&mut recordings, batch);
    recordings.fail(2, AudioError::Empty.into());
    let outcomes: Vec<_> = std::iter::from_fn(|| recordings.next_done())
        .map(|(file, heard)| (file, heard.is_ok()))
        .collect();
    assert_eq!(outcomes, [(0, false), (1, true), (2, false)]);
}
