//! Plans chunks of long audio, joins their words and makes segments.
//!
//! Chunks are encoded alone and their words come back in file time: [`plan_chunks`] says where to
//! cut, [`stitch`] puts the words of all chunks in one row, [`segment`] parts the row into
//! sentence-like runs.

mod chunk;
mod segment;
mod stitch;

pub use chunk::{Chunk, ChunkRules, plan_chunks};
pub use segment::{Segment, SegmentRules, segment};
pub use stitch::stitch;
