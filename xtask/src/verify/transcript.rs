//! Checks one output of the worker against the promises of the plan and of the engine.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// How much later than the recording's length in the table a word may end, in seconds: one encoder frame,
/// because containers do not agree on whether padding counts.
const SLACK_S: f64 = 0.08;

/// A line that `transcribe --format json` wrote.
#[derive(Debug)]
pub(super) struct Transcript(Value);

impl Transcript {
    /// Reads the line.
    ///
    /// # Errors
    ///
    /// When the line is not JSON.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let value =
            serde_json::from_str(line).context("the worker wrote a line that is no JSON")?;
        Ok(Self(value))
    }

    /// The whole text.
    pub(super) fn text(&self) -> Result<&str> {
        self.0["text"]
            .as_str()
            .with_context(|| self.lacks("a text"))
    }

    /// The number of words with times.
    ///
    /// # Errors
    ///
    /// When there is no word, or the text has another number of words.
    pub(super) fn n_words(&self) -> Result<usize> {
        let n_words = self.words()?.len();
        let n_in_text = self.text()?.split_whitespace().count();
        ensure!(
            n_words > 0 && n_words == n_in_text,
            "{} has {n_words} words with times for a text of {n_in_text}",
            self.file()
        );
        Ok(n_words)
    }

    /// Checks the output against the plan's schema.
    ///
    /// # Errors
    ///
    /// When a field is missing or has another type; the message names the first one.
    pub(super) fn check_shape(&self) -> Result<()> {
        self.text()?;
        ensure!(self.0["language"].is_string(), self.lacks("a language"));
        for segment in self.segments()? {
            ensure!(segment["text"].is_string(), self.lacks("a segment's text"));
            self.span(segment)?;
        }
        for (_, word) in self.words()? {
            ensure!(word["word"].is_string(), self.lacks("a word's text"));
            self.span(word)?;
            let confidence = &word["confidence"];
            let in_range = confidence
                .as_f64()
                .is_some_and(|it| (0.0..=1.0).contains(&it));
            ensure!(
                in_range || confidence.is_null(),
                "{}: a confidence is {confidence}, expected 0 to 1",
                self.file()
            );
        }
        Ok(())
    }

    /// Checks that the output declares word times of its own, so that no alignment stage is needed.
    ///
    /// # Errors
    ///
    /// When `native_word_timestamps` is not true.
    pub(super) fn check_native_times(&self) -> Result<()> {
        let said = &self.0["native_word_timestamps"];
        ensure!(*said == true, "{}: it is {said}", self.file());
        Ok(())
    }

    /// Checks that words and segments run forward, words inside their segment and segments inside the audio.
    ///
    /// # Errors
    ///
    /// When a word or a segment does not; the message names the first one.
    pub(super) fn check_times(&self, seconds: f64) -> Result<()> {
        let mut before = 0.0;
        for (segment, word) in self.words()? {
            let (start, end) = self.span(word)?;
            let (from, to) = self.span(segment)?;
            ensure!(
                before <= start && start <= end,
                "{}: {} is at {start} to {end} s, after a word that ends at {before} s",
                self.file(),
                word["word"]
            );
            ensure!(
                from <= start && end <= to && to <= seconds + SLACK_S,
                "{}: {} is at {start} to {end} s, its segment at {from} to {to} s of {seconds} s",
                self.file(),
                word["word"]
            );
            before = end;
        }
        Ok(())
    }

    /// The words, each with its segment.
    fn words(&self) -> Result<Vec<(&Value, &Value)>> {
        let mut words = Vec::new();
        for segment in self.segments()? {
            let of_segment = segment["words"].as_array();
            let of_segment = of_segment.with_context(|| self.lacks("a segment's words"))?;
            words.extend(of_segment.iter().map(|word| (segment, word)));
        }
        Ok(words)
    }

    fn segments(&self) -> Result<&[Value]> {
        let segments = self.0["segments"].as_array();
        Ok(segments.with_context(|| self.lacks("segments"))?)
    }

    fn span(&self, part: &Value) -> Result<(f64, f64)> {
        let seconds = |name: &str| {
            let found = part[name].as_f64();
            found.with_context(|| self.lacks(&format!("`{name}` in {part}")))
        };
        Ok((seconds("start")?, seconds("end")?))
    }

    fn lacks(&self, what: &str) -> String {
        format!("{} lacks {what}", self.file())
    }

    fn file(&self) -> &str {
        self.0["file"].as_str().unwrap_or("an output without file")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"file": "a.wav", "text": "so well", "language": "en", "native_word_timestamps": true,
            "segments": [
                {"start": 0.1, "end": 0.4, "text": "so",
                 "words": [{"word": "so", "start": 0.1, "end": 0.4, "confidence": 0.9}]},
                {"start": 0.4, "end": 1.04, "text": "well",
                 "words": [{"word": "well", "start": 0.4, "end": 1.04}]}]})
    }

    /// Every check on the good output with one value replaced.
    #[track_caller]
    fn check(pointer: &str, value: Value, expected: &str) {
        let mut output = good();
        *output.pointer_mut(pointer).unwrap() = value;
        let transcript = Transcript(output);
        let said = [
            transcript.n_words().map(drop),
            transcript.check_shape(),
            transcript.check_native_times(),
            transcript.check_times(1.0),
        ];
        let said: Vec<_> = said
            .into_iter()
            .filter_map(Result::err)
            .map(|error| error.to_string())
            .collect();
        assert!(said.join("\n").contains(expected), "{said:?}");
    }

    #[test]
    fn a_good_output_passes() {
        let transcript = Transcript(good());
        assert_eq!(transcript.n_words().unwrap(), 2);
        transcript.check_shape().unwrap();
        transcript.check_native_times().unwrap();
        transcript.check_times(1.0).unwrap();
    }

    #[test]
    fn a_missing_field_is_named() {
        check("/language", Value::Null, "a.wav lacks a language");
        check("/segments", Value::Null, "a.wav lacks segments");
        check("/segments/0/words/0/end", json!("0.4"), "`end`");
        check("/segments/1/words", json!({}), "a segment's words");
    }

    #[test]
    fn words_and_text_must_agree() {
        check(
            "/text",
            json!("so very well"),
            "2 words with times for a text of 3",
        );
        check("/text", json!(""), "for a text of 0");
    }

    #[test]
    fn times_must_run_forward() {
        check(
            "/segments/1/words/0/start",
            json!(0.3),
            "after a word that ends at 0.4 s",
        );
        check("/segments/0/words/0/start", json!(0.5), "at 0.5 to 0.4 s");
    }

    #[test]
    fn words_must_lie_inside_segment_and_audio() {
        check(
            "/segments/0/start",
            json!(0.2),
            "its segment at 0.2 to 0.4 s",
        );
        check("/segments/1/end", json!(1.2), "of 1 s");
    }

    #[test]
    fn a_confidence_is_a_probability() {
        check(
            "/segments/0/words/0/confidence",
            json!(-0.1),
            "expected 0 to 1",
        );
    }

    #[test]
    fn native_times_must_be_said() {
        check("/native_word_timestamps", json!(false), "it is false");
    }
}
