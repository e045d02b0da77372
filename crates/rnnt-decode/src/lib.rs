//! Transducer and CTC search, and tokens to words with times and confidence.
//!
//! The search knows no network: anything that implements [`Transducer`] can be searched. It holds
//! no files, no clocks and no floats in its decisions: time is encoded in encoder frames until
//! [`words`] makes seconds.

mod clock;
mod hypothesis;
mod search;
mod transducer;
mod vocabulary;
mod window;
mod words;

pub use clock::FrameClock;
pub use hypothesis::{Hypothesis, Token, TokenId};
pub use search::{SearchRules, SearchStats, Searched, search};
pub use transducer::{Emission, Head, Lane, Transducer};
pub use vocabulary::{Vocabulary, VocabularyError};
pub use window::Window;
pub use words::{CONFIDENCE_METHOD, Word, text, words};
