//! A line as the log's own formats have it, for what is logged without an event.

use tracing::Level;

use crate::config::LogFormat;
use crate::domain::now_ms;
use crate::encode::format_ms;

/// Where such lines say that they come from.
const TARGET: &str = module_path!();

/// `message` as a line in `format`.
pub(super) fn line(format: LogFormat, level: Level, message: &str) -> Vec<u8> {
    let time = format_ms(now_ms());
    let line = match format {
        LogFormat::Text => format!("{time} {level:>5} {TARGET}: {message}\n"),
        LogFormat::Json => {
            let event = serde_json::json!({
                "timestamp": time,
                "level": level.as_str(),
                "fields": { "message": message },
                "target": TARGET,
            });
            format!("{event}\n")
        }
    };
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_text_or_one_json_object() {
        let text = String::from_utf8(line(LogFormat::Text, Level::WARN, "said")).unwrap();
        assert!(text.ends_with("Z  WARN otto_handler::logging::line: said\n"), "{text}");
        let json = line(LogFormat::Json, Level::ERROR, "two\nlines");
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            (&json["level"], &json["fields"]["message"]),
            (&"ERROR".into(), &"two\nlines".into())
        );
    }
}
