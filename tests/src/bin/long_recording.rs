//! Writes a long recording for measurements: `long_recording JOINT SECONDS OUT.wav`.
//!
//! `OUT.json` gets the words, `[word, start]` in seconds, and the chunks by the default rules, in samples:
//! `[encoded from, encoded to, searched from, searched to]`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

use e2e_tests::{Joint, LongRecording};
use segmenter::{Chunk, ChunkRules, plan_chunks};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [joint, seconds, path] = &args[..] else {
        return Err(format!(
            "usage: long_recording {} SECONDS OUT.wav",
            Joint::ALL.map(Joint::name).join("|")
        )
        .into());
    };
    let joint: Joint = joint.parse()?;
    let long = LongRecording::new(joint, seconds.parse()?);
    let path = Path::new(path);
    long.write(0..long.samples.len(), path)?;

    let words: Vec<_> = long.words.iter().map(|it| (&it.word, it.start)).collect();
    let chunks = plan_chunks(&long.samples, &ChunkRules::default());
    let edges =
        |Chunk {
             encoded, searched, ..
         }: &Chunk| [encoded.start, encoded.end, searched.start, searched.end];
    let chunks: Vec<_> = chunks.iter().map(edges).collect();
    let truth = json!({ "words": words, "chunks": chunks });
    fs::write(path.with_extension("json"), truth.to_string())?;
    Ok(())
}
