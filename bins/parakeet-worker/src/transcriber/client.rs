//! The interface between the transcriber and its callers: a list of files, or the tasks of a worker.

use std::ops::ControlFlow;

use segmenter::SegmentRules;

use super::counters::Stats;
use super::transcript::{Error, Transcript};
use crate::source::Source;

/// Supplies recordings and receives their transcripts.
///
/// The transcriber calls every method from the thread that called
/// [`Transcriber::transcribe`](super::Transcriber::transcribe), between two batches. A method that blocks
/// stalls the search of all recordings.
pub trait Client {
    /// The next recording and its number, or `None` if no recording is ready now. Numbers rise: the recording
    /// with the lowest number counts as the oldest.
    fn next(&mut self) -> Option<(usize, Source)>;

    /// Where the segments of a recording end. Asked once per recording, before it is delivered.
    fn segment_rules(&mut self, number: usize) -> SegmentRules;

    /// Receives the counters before each batch. `Break` ends the transcription.
    fn proceed(&mut self, stats: &Stats) -> ControlFlow<()>;

    /// Whether the client still wants a recording. Asked before each batch for every recording that is in
    /// progress; `searched` is the share of its audio that is searched, skipped or given up, from 0 to 1. The
    /// transcriber drops an unwanted recording and never delivers it.
    fn wants(&mut self, number: usize, searched: f64) -> bool;

    /// Receives the outcome of a recording, once per recording. `Break` ends the transcription.
    fn deliver(&mut self, number: usize, transcript: Result<Transcript, Error>) -> ControlFlow<()>;
}
