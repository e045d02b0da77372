//! Writes one event as one JSON object on one line, with the keys of the Python fleet's logger.

use std::fmt;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes `{"event", "level", "timestamp", "service", ...}` with the fields of the event and of the spans
/// around it. A field of the event replaces a span's field of the same name.
pub(super) struct JsonLine {
    service: String,
}

impl JsonLine {
    pub(super) fn new(engine_id: &str) -> Self {
        Self {
            service: format!("engine-{engine_id}"),
        }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        let spans = context
            .event_scope()
            .into_iter()
            .flat_map(|it| it.from_root());
        for span in spans {
            // `JsonFields` has stored each span's own fields as the text of a JSON object.
            if let Some(text) = span.extensions().get::<FormattedFields<JsonFields>>()
                && let Ok(Value::Object(map)) = serde_json::from_str(&text.fields)
            {
                fields.0.extend(map);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        fields.set("level", level(metadata.level()));
        fields.set("logger", metadata.target());
        fields.set("service", self.service.as_str());
        let now = DateTime::<Utc>::from(SystemTime::now());
        fields.set(
            "timestamp",
            now.to_rfc3339_opts(SecondsFormat::Micros, true),
        );
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// A level as the Python fleet names it.
fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn set_field(&mut self, field: &Field, value: impl Into<Value>) {
        let name = match field.name() {
            "message" => "event",
            name => name,
        };
        self.set(name, value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set_field(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set_field(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set_field(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set_field(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set_field(field, format!("{value:?}"));
    }
}
