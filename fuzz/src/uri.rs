//! URIs: a task names the objects that it needs.

use dalston_engine_sdk::uri::ObjectUri;

const BUCKET: &str = "artifacts";

/// Reads a URI. An accepted URI names the object in the worker's bucket that it shows; the error of a refused
/// one quotes no secret.
///
/// # Panics
///
/// One of these promises is broken.
pub fn uri(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match ObjectUri::parse(text, BUCKET) {
        Ok(uri) => {
            assert_eq!(uri.to_string(), text, "another object than the one named");
            let key = uri.key().as_ref();
            assert_eq!(text, format!("s3://{BUCKET}/{key}"));
            let climbs = |part: &str| part.is_empty() || part == "." || part == "..";
            assert!(!key.split('/').any(climbs), "{key:?}");
            assert!(!key.contains(char::is_control), "{key:?}");
        }
        Err(why) => {
            let sentence = why.to_string();
            crate::assert_sentence(&sentence);
            let (shown, query) = text.split_once('?').unwrap_or((text, ""));
            // Escaped in the same way as in the sentence.
            let shown = format!("{shown:?}");
            let mut secrets = query.split(|c: char| !c.is_ascii_alphanumeric());
            let quoted = |secret: &&str| {
                let is_shown = shown.contains(*secret) || BUCKET.contains(*secret);
                secret.len() >= 8 && sentence.contains(*secret) && !is_shown
            };
            assert_eq!(secrets.find(quoted), None, "it is quoted: {sentence}");
        }
    }
}
