//! Long lines, which come in parts: put together before they are printed.

use super::render::LogLine;

/// Holds a line of which more parts are to come.
#[derive(Debug, Default)]
pub(super) struct PartJoiner(Option<LogLine<'static>>);

impl PartJoiner {
    /// Whether `line` may be printed as it is.
    pub(super) fn lets_pass(&self, line: &LogLine<'_>) -> bool {
        self.0.is_none() && line.parts <= 1
    }

    /// Takes an entry; returns the lines that are to be printed now.
    pub(super) fn add(&mut self, line: LogLine<'_>) -> Vec<LogLine<'static>> {
        let mut lines = Vec::new();
        match &mut self.0 {
            Some(begun) if begun.is_followed_by(&line) => {
                begun.message.to_mut().push_str(&line.message);
                begun.part = line.part;
            }
            _ => {
                lines.extend(self.0.take());
                self.0 = Some(line.into_owned());
            }
        }
        if self.0.as_ref().is_some_and(|begun| begun.part >= begun.parts) {
            lines.extend(self.0.take());
        }
        lines
    }

    /// The line whose other parts will not come.
    pub(super) fn take(&mut self) -> Option<LogLine<'static>> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: u64, part: u32, parts: u32, message: &str) -> LogLine<'static> {
        let json =
            serde_json::json!({ "line": line, "part": part, "parts": parts, "message": message });
        let json = json.to_string();
        serde_json::from_str::<LogLine<'_>>(&json).unwrap().into_owned()
    }

    #[test]
    fn parts_become_one_line_and_what_is_incomplete_is_printed_before_the_next() {
        let mut joiner = PartJoiner::default();
        let mut printed = Vec::new();
        let entries = [
            line(1, 1, 3, "a"),
            line(1, 2, 3, "b"),
            line(1, 3, 3, "c"),
            line(2, 1, 2, "cut"),
            line(3, 0, 0, "whole"),
            line(4, 2, 2, "its head is gone"),
            line(5, 1, 2, "never ends"),
        ];
        assert!(!joiner.lets_pass(&entries[0]) && joiner.lets_pass(&entries[4]));
        for entry in entries {
            printed.extend(joiner.add(entry));
        }
        printed.extend(joiner.take());
        let messages: Vec<_> = printed.iter().map(|line| &*line.message).collect();
        assert_eq!(messages, ["abc", "cut", "whole", "its head is gone", "never ends"]);
    }
}
