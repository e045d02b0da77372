//! Plans chunks of long audio, joins their words and makes segments.
//!
//! Chunks are encoded alone and their words come back in file time: [`plan_chunks`] says where to
//! cut, [`stitch`] puts the words of all chunks in one row, [`segment`] parts the row into
//! sentence-like runs.
//!
//! ```
//! use rnnt_decode::Word;
//! use segmenter::{ChunkRules, SegmentRules, plan_chunks, segment, stitch};
//!
//! let audio = vec![0.0; 16_000 * 40];
//! let chunks = plan_chunks(&audio, &ChunkRules::default());
//! assert_eq!(chunks.len(), 2);
//!
//! // What an engine heard in each chunk, in the time of the file.
//! let word = |text: &str, start: f64| {
//!     Word { text: text.into(), start, end: start + 0.4, confidence: None }
//! };
//! let heard = vec![vec![word("good", 28.0), word("morning", 28.5)], vec![word("all", 35.0)]];
//!
//! let segments = segment(&stitch(heard), &SegmentRules::default());
//! assert_eq!(segments[0].text, "good morning");
//! assert_eq!((segments[1].start, segments[1].end), (35.0, 35.4));
//! ```

mod chunk;
mod segment;
mod stitch;

pub use chunk::{Chunk, ChunkRules, plan_chunks};
pub use segment::{Segment, SegmentRules, SegmentRulesError, segment};
pub use stitch::stitch;
