//! Transducer search, and tokens to words.

mod transducer;

pub use transducer::{Emission, Head, Lane, Transducer};

/// Index of a piece in the vocabulary.
pub type TokenId = u32;
