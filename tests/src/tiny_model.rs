//! Transcribes with the tiny model in this process, with the code of the program.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use dalston_engine_sdk::audio::AudioLimits;
use parakeet_model::{ComputeType, Device, ModelManifest, ParakeetModel, set_threads};
use parakeet_worker::settings::Settings;
use parakeet_worker::source::Source;
use parakeet_worker::transcribe::transcribe_list;
use parakeet_worker::transcriber::{Stats, Transcriber, Transcript};
use rnnt_decode::SearchRules;
use segmenter::{ChunkRules, SegmentRules};

use crate::project;

/// The tiny model on the CPU, in float32.
///
/// Panics if the bundle is missing, because a test that cannot run must not pass.
pub fn tiny_transcriber(batch_size: usize, chunk_seconds: usize) -> Transcriber {
    // Tests run in parallel. With more than one thread each, they would wait for each other's processors.
    set_threads(NonZeroUsize::new(1));
    let bundle = project().join("models/parakeet-rnnt-tiny");
    assert!(
        bundle.join(ModelManifest::FILE).is_file(),
        "the tiny model's bundle is missing: `cargo xtask test` makes it (after `cargo xtask setup`)"
    );
    let model = ParakeetModel::load(&bundle, Device::Cpu, ComputeType::Float32);
    let stride = ChunkRules::default().stride;
    let max_frames =
        NonZeroUsize::new(chunk_seconds * 16_000 / stride).expect("a chunk is longer than a frame");
    Transcriber {
        model: Arc::new(model.expect("the bundle is whole")),
        settings: Settings {
            batch_size: NonZeroUsize::new(batch_size).expect("a batch is not empty"),
            audio_limits: AudioLimits::default(),
            chunk_rules: ChunkRules::of_length(stride, max_frames),
            search_rules: SearchRules::default(),
        },
    }
}

/// The transcripts of all files, by path.
pub fn transcribe(transcriber: &Transcriber, files: &[PathBuf]) -> BTreeMap<PathBuf, Transcript> {
    let sources: Vec<_> = files.iter().cloned().map(Source::File).collect();
    let mut transcripts = BTreeMap::new();
    let mut expected = 0..;
    let proceed = |_: &Stats| ControlFlow::Continue(());
    let rules = SegmentRules::default();
    transcribe_list(
        transcriber,
        &rules,
        &sources,
        proceed,
        |file, transcript| {
            assert_eq!(
                Some(file),
                expected.next(),
                "results come in the order given"
            );
            let transcript =
                transcript.unwrap_or_else(|why| panic!("{}: {why}", files[file].display()));
            transcripts.insert(files[file].clone(), transcript);
            ControlFlow::Continue(())
        },
    );
    assert_eq!(
        transcripts.len(),
        files.len(),
        "every file has a transcript"
    );
    transcripts
}
