//! Chooses the language that a transcript is labelled with.

use parakeet_model::ModelManifest;

/// A transcript's language label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Language {
    /// A code of two or three letters; `und` if the model recognises several and does not report which.
    pub(crate) code: String,
    /// A sentence for the user if `code` is not the requested language.
    pub(crate) warning: Option<String>,
}

impl Language {
    /// The label for a model's transcripts when the user asks for language `asked` (`de`, `de-AT`). `auto` and
    /// `None` ask for none.
    ///
    /// No Parakeet can be told which language to recognise. So the requested language becomes the label only
    /// if the model recognises it; otherwise the transcript keeps the model's own label, with a warning.
    pub(crate) fn settle(asked: Option<&str>, manifest: &ModelManifest) -> Self {
        let own = &manifest.language;
        let Some(asked) = asked.filter(|asked| !asked.eq_ignore_ascii_case("auto")) else {
            return Self {
                code: own.clone(),
                warning: None,
            };
        };
        let code = asked.split(['-', '_']).next().unwrap_or(asked);
        let code = code.to_ascii_lowercase();
        if manifest.languages.contains(&code) {
            return Self {
                code,
                warning: None,
            };
        }
        Self {
            code: own.clone(),
            warning: Some(format!(
                "{} does not know the language {asked}, only {}; its transcripts stay labelled {own}",
                manifest.model_id,
                manifest.languages.join(", ")
            )),
        }
    }
}

/// Whether a text has the form of a language code, such as `de` or `de-AT`. `auto` has it too.
pub(crate) fn is_language_code(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.split(['-', '_']).all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(asked: Option<&str>, language: &str, languages: Value, code: &str, warning: &str) {
        let file = json!({"file": "f", "bytes": 1, "sha256": ""});
        let manifest = json!({
            "format_version": 2, "model_id": "m", "language": language, "languages": languages,
            "head": "tdt", "hop_samples": 160, "subsampling": 8, "max_samples": 960_000,
            "vocabulary_size": 7, "sample_rate_hz": 16_000, "blank_id": 7,
            "archives": {"float32": file}, "files": {"vocabulary": file},
        });
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let path = dir.path().join(ModelManifest::FILE);
        std::fs::write(path, manifest.to_string()).expect("it can be written");
        let manifest = ModelManifest::read(dir.path()).expect("it is a manifest");
        let settled = Language::settle(asked, &manifest);
        assert_eq!(
            (
                &*settled.code,
                settled.warning.as_deref().unwrap_or_default()
            ),
            (code, warning)
        );
    }

    #[test]
    fn without_a_wish_the_label_is_the_models_own() {
        check(None, "en", json!(["en"]), "en", "");
        check(Some("auto"), "und", json!(["de", "en"]), "und", "");
    }

    #[test]
    fn a_model_of_several_languages_is_believed_to_hear_the_one_asked_for() {
        check(Some("de"), "und", json!(["de", "en"]), "de", "");
        check(Some("DE-at"), "und", json!(["de", "en"]), "de", "");
    }

    #[test]
    fn a_language_that_the_model_does_not_know_is_a_warning_and_no_label() {
        let warning = "m does not know the language de, only en; its transcripts stay labelled en";
        check(Some("de"), "en", json!(["en"]), "en", warning);
    }
}
