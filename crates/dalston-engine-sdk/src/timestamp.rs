//! Points in time as Python's `datetime.isoformat()` writes them: `2026-11-22T10:22:01.724851+00:00`.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};

/// Writes a time in UTC, with microseconds and offset.
pub(crate) fn format(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// Reads a time that [`format`] wrote, or any other ISO 8601 time with an offset; `None` for other text.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(SystemTime::from)
}
