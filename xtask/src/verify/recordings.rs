//! Recordings with their reference transcripts, and the word errors of a hypothesis.

use std::fmt;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// One recording.
#[derive(Debug, PartialEq)]
pub(super) struct Recording {
    pub(super) path: PathBuf,
    /// Its length.
    pub(super) seconds: f64,
    /// The words that are spoken in it.
    pub(super) spoken: String,
}

/// Reads `transcripts.tsv` of a folder: a line of column names, which must include `file`, `seconds` and
/// `transcript`, then one line for each recording.
///
/// # Errors
///
/// When the table, a column or a recording is missing, or the table has no recording.
pub(super) fn read(folder: &Path) -> Result<Vec<Recording>> {
    let path = folder.join("transcripts.tsv");
    let table = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let recordings = parse(&table, folder).with_context(|| path.display().to_string())?;
    for recording in &recordings {
        ensure!(
            recording.path.is_file(),
            "{} names {}, which is not there",
            path.display(),
            recording.path.display()
        );
    }
    Ok(recordings)
}

fn parse(table: &str, folder: &Path) -> Result<Vec<Recording>> {
    let mut lines = table.lines();
    let names: Vec<_> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| {
        let place = names.iter().position(|it| *it == name);
        place.with_context(|| format!("there is no column `{name}` in the first line"))
    };
    let (file, seconds, transcript) = (column("file")?, column("seconds")?, column("transcript")?);
    let mut recordings = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let cells: Vec<_> = line.split('\t').collect();
        let cell = |place: usize| {
            let cell = cells.get(place);
            cell.with_context(|| format!("a line has no `{}`: {line}", names[place]))
        };
        let length = cell(seconds)?;
        recordings.push(Recording {
            path: folder.join(cell(file)?),
            seconds: length
                .parse()
                .with_context(|| format!("`seconds` is {length}, expected a number"))?,
            spoken: (*cell(transcript)?).to_owned(),
        });
    }
    ensure!(!recordings.is_empty(), "there is no recording");
    Ok(recordings)
}

/// The word errors between the reference and the hypothesis, summed over recordings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WordErrors {
    n_spoken: usize,
    n_errors: usize,
}

impl WordErrors {
    /// Errors per spoken word.
    pub(super) fn rate(&self) -> f64 {
        self.n_errors as f64 / self.n_spoken.max(1) as f64
    }
}

impl AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.n_spoken += other.n_spoken;
        self.n_errors += other.n_errors;
    }
}

impl fmt::Display for WordErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} %, {} of {} words",
            100.0 * self.rate(),
            self.n_errors,
            self.n_spoken
        )
    }
}

/// The least number of deleted, inserted and substituted words. Case and punctuation are ignored.
pub(super) fn compare(spoken: &str, recognized: &str) -> WordErrors {
    let (spoken, recognized) = (words(spoken), words(recognized));
    // distance[h] is the distance between the spoken words so far and the first h recognised words.
    let mut distance: Vec<usize> = (0..=recognized.len()).collect();
    for (s, word) in spoken.iter().enumerate() {
        let mut diagonal = distance[0];
        distance[0] = s + 1;
        for (h, other) in recognized.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = distance[h + 1];
            distance[h + 1] = replaced.min(diagonal + 1).min(distance[h] + 1);
        }
    }
    WordErrors {
        n_spoken: spoken.len(),
        n_errors: distance[recognized.len()],
    }
}

/// Runs of letters, digits and apostrophes, in lower case. `Cold-hearted.` is two words.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spoken: &str, recognized: &str, n_errors: usize) {
        assert_eq!(compare(spoken, recognized).n_errors, n_errors);
    }

    #[test]
    fn case_punctuation_and_hyphens_are_no_errors() {
        check(
            "cold hearted, and don't ask",
            "Cold-hearted and don't ask.",
            0,
        );
    }

    #[test]
    fn a_word_missing_added_or_replaced_is_one_error() {
        check("a b c", "a c", 1);
        check("a c", "a b c", 1);
        check("a b c", "a x c", 1);
        check("a b c d", "b c d a", 2);
    }

    #[test]
    fn nothing_heard_is_every_word_missing() {
        check("a b c", "", 3);
        check("", "a", 1);
    }

    #[test]
    fn errors_of_recordings_add_up() {
        let mut errors = compare("a b c", "a b c");
        errors += compare("a b c d e", "a b c d x");
        assert_eq!(errors.to_string(), "12.5 %, 1 of 8 words");
        assert!((errors.rate() - 0.125).abs() < f64::EPSILON);
    }

    #[test]
    fn columns_go_by_their_names() {
        let table = "seconds\tfile\tlanguage\ttranscript\n1.5\ta.wav\ten\tso well\n";
        let expected = Recording {
            path: "speech/a.wav".into(),
            seconds: 1.5,
            spoken: "so well".into(),
        };
        assert_eq!(parse(table, Path::new("speech")).unwrap(), [expected]);
    }

    #[test]
    fn a_table_that_lacks_something_is_refused_by_name() {
        for (table, word) in [
            ("", "file"),
            ("file\tseconds\n", "transcript"),
            ("file\tseconds\ttranscript\n", "no recording"),
            ("file\tseconds\ttranscript\na.wav\tlong\tso\n", "long"),
            ("file\tseconds\ttranscript\na.wav\t1\n", "a.wav"),
        ] {
            let error = parse(table, Path::new("")).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_shipped_recordings_are_all_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/speech");
        assert_eq!(read(&folder).unwrap().len(), 5);
    }
}
