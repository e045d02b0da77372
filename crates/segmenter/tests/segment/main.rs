//! Where segments end.

mod properties;
mod rules;
mod text_limit;

use rnnt_decode::Word;

fn word(text: &str, start: f64, end: f64) -> Word {
    Word {
        text: text.to_owned(),
        start,
        end,
        confidence: None,
    }
}
