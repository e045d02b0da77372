//! The trace that a task belongs to, as OpenTelemetry's W3C context in the task's hash.

use std::collections::BTreeMap;

use crate::queue::Claim;

/// The ids of a trace and of the span that caused a task.
///
/// A worker exports no spans of its own. It writes the ids into its log, where a trace viewer finds them,
/// and adds the context to its events, so that the orchestrator's next span has the same parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 hexadecimal digits, not all zero.
    pub trace_id: String,
    /// 16 hexadecimal digits, not all zero.
    pub span_id: String,
}

impl TraceContext {
    /// Reads field `_trace_context` of a task's hash, a JSON object with `traceparent`.
    ///
    /// Returns `None` if the field is missing or malformed: no task fails because of its trace.
    pub fn of(claim: &Claim) -> Option<Self> {
        let text = claim.metadata.get("_trace_context")?;
        let carrier: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
        Self::parse(carrier.get("traceparent")?)
    }

    /// `version-trace_id-span_id-flags`, see <https://www.w3.org/TR/trace-context/#traceparent-header>.
    fn parse(traceparent: &str) -> Option<Self> {
        let parts: Vec<_> = traceparent.split('-').collect();
        let [version, trace_id, span_id, flags, rest @ ..] = parts.as_slice() else {
            return None;
        };
        // Version 00 has exactly four parts, a later version may have more, and version ff is forbidden.
        let known = *version != "ff" && (*version != "00" || rest.is_empty());
        let sound = is_hex(version, 2)
            && is_hex(flags, 2)
            && is_hex(trace_id, 32)
            && is_hex(span_id, 16)
            && [trace_id, span_id]
                .iter()
                .all(|id| id.bytes().any(|b| b != b'0'));
        (known && sound).then(|| Self {
            trace_id: (*trace_id).to_owned(),
            span_id: (*span_id).to_owned(),
        })
    }
}

fn is_hex(text: &str, n_digits: usize) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == n_digits && text.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(traceparent: &str, is_read: bool) {
        assert_eq!(
            TraceContext::parse(traceparent).is_some(),
            is_read,
            "{traceparent}"
        );
    }

    #[test]
    fn the_example_of_the_standard_is_read() {
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = TraceContext::parse(context).expect("the standard's own example");
        assert_eq!(read.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(read.span_id, "00f067aa0ba902b7");
    }

    #[test]
    fn a_later_version_may_say_more() {
        check(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            true,
        );
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            false,
        );
    }

    #[test]
    fn what_the_standard_forbids_is_no_context() {
        for traceparent in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473ü-00f067aa0ba902b7-01",
        ] {
            check(traceparent, false);
        }
    }
}
