//! Plans the chunks of long audio, joins the tokens of the chunks and parts the words into segments.
//!
//! An engine encodes and searches each chunk by itself. [`plan_chunks`] chooses the chunks, [`stitch`]
//! joins the tokens of all chunks, and [`segment`] parts the words of the file into sentence-like runs.
//!
//! ```
//! use rnnt_decode::{FrameClock, Hypothesis, Token, TokenTimes, Vocabulary, words};
//! use segmenter::{ChunkRules, SegmentRules, plan_chunks, segment, stitch};
//!
//! // Forty seconds of noise, with a pause of one second after the 19th.
//! let mut audio: Vec<f32> = (0..16_000 * 40).map(|n| (n * 7 % 199) as f32 / 199.0 - 0.5).collect();
//! audio[16_000 * 19..16_000 * 20].fill(0.0);
//! let rules = ChunkRules::default();
//! let chunks = plan_chunks(&audio, &rules);
//! assert_eq!(chunks.len(), 2);
//! assert!((16_000 * 19..16_000 * 20).contains(&chunks[1].searched.start));
//!
//! // The tokens of each chunk. Their frames count from the start of the file.
//! let token = |id, frame| Token { id, frame, duration: 1, log_prob: -0.1 };
//! let found = [vec![token(0, 220), token(1, 226)], vec![token(2, 260)]];
//!
//! let vocabulary = Vocabulary::new(["▁good", "▁morning", "▁all"].map(String::from).into())?;
//! let tokens = stitch(chunks.into_iter().zip(found), rules.stride, &vocabulary);
//! let clock = FrameClock { stride: 1280, sample_rate_hz: 16_000, samples: 0..audio.len() };
//! let words = words(&Hypothesis { tokens }, &vocabulary, &clock, TokenTimes::AsFound);
//! let segments = segment(&words, &SegmentRules::default());
//! assert_eq!(segments[0].text, "good morning");
//! assert_eq!((segments[1].start, segments[1].end), (20.8, 20.88));
//! # Ok::<(), rnnt_decode::VocabularyError>(())
//! ```

#![forbid(unsafe_code)]

mod chunk;
mod chunk_rules;
mod cuts;
mod loudness;
mod segment;
mod stitch;

pub use chunk::{Chunk, plan_chunks, split_chunk};
pub use chunk_rules::ChunkRules;
pub use segment::{Segment, SegmentRules, SegmentRulesError, TextLimit, segment};
pub use stitch::stitch;
