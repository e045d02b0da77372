//! Lines on standard error.

use std::io::{self, Write as _};

use crate::printable::printable;

/// Writes a line to standard error. Unlike `eprintln!`, does not panic if standard error is closed.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// Says why a recording has no transcript.
pub(super) fn complain_about(name: &str, why: impl Into<anyhow::Error>) {
    complain(&format!("error: {name}: {:#}", why.into()));
}
