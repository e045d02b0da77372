//! Searches transducers and CTC models for tokens, and turns the tokens into words with times and confidence.
//!
//! [`search`] knows no network: it searches anything that implements [`Transducer`]. The crate reads no
//! files. A position is a number of encoder frames until [`words`] turns it into seconds.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use rnnt_decode::{
//!     Emission, FrameClock, Head, Lane, SearchRules, TokenId, Transducer, Vocabulary, search, words,
//! };
//!
//! /// A network of one utterance that emits token 0 on frame 5, token 1 on frame 7 and token 2 on frame 20.
//! struct Recital {
//!     n_said: usize,
//! }
//!
//! impl Transducer for Recital {
//!     type Error = Infallible;
//!
//!     fn head(&self) -> Head {
//!         Head::Rnnt
//!     }
//!
//!     fn blank(&self) -> TokenId {
//!         3
//!     }
//!
//!     fn n_encoder_frames(&self) -> &[usize] {
//!         &[25]
//!     }
//!
//!     fn score(
//!         &mut self,
//!         lanes: &[Lane],
//!         window: usize,
//!         emissions: &mut Vec<Emission>,
//!     ) -> Result<(), Infallible> {
//!         for lane in lanes {
//!             emissions.extend((lane.frame..lane.frame + window).map(|frame| {
//!                 match [5, 7, 20].get(self.n_said) {
//!                     Some(&due) if frame >= due => {
//!                         Emission { token: self.n_said as TokenId, duration: 0, log_prob: -0.1 }
//!                     }
//!                     _ => Emission { token: self.blank(), duration: 1, log_prob: -0.1 },
//!                 }
//!             }));
//!         }
//!         Ok(())
//!     }
//!
//!     fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Infallible> {
//!         self.n_said += emitted.len();
//!         Ok(())
//!     }
//! }
//!
//! let vocabulary = Vocabulary::new(["▁hel", "lo", "▁world"].map(String::from).into())?;
//! let clock = FrameClock { stride: 1280, sample_rate_hz: 16_000, samples: 0..32_000 };
//!
//! let searched = search(&mut Recital { n_said: 0 }, &SearchRules::default())?;
//! let words = words(&searched.hypotheses[0], &vocabulary, &clock, Head::Rnnt.into());
//!
//! assert_eq!((words[0].text.as_str(), words[0].start, words[0].end), ("hello", 0.4, 0.64));
//! assert_eq!((words[1].text.as_str(), words[1].start, words[1].end), ("world", 1.6, 1.68));
//! assert!(searched.stats.score_calls < 25, "blanks are taken many at a time");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod clock;
mod hypothesis;
mod search;
mod times;
mod transducer;
mod vocabulary;
mod window;
mod words;

pub use clock::FrameClock;
pub use hypothesis::{Hypothesis, Token, TokenId};
pub use search::{SearchRules, SearchStats, Searched, search, search_within};
pub use times::TokenTimes;
pub use transducer::{Emission, Head, Lane, Transducer};
pub use vocabulary::{Vocabulary, VocabularyError};
pub use window::Window;
pub use words::{CONFIDENCE_METHOD, Word, text, words};
