//! One log entry as a line of output.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Deserialize;

use super::ansi::{Escapes, clean};

/// How lines are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The event's data as it came.
    Json,
    /// Text without any escape sequence.
    Plain,
    /// Text with level and worker colours, and the message's own.
    Colored,
}

/// As much of a `log` event as is shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogLine<'a> {
    #[serde(borrow, default)]
    worker_id: Cow<'a, str>,
    #[serde(borrow, default)]
    level: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

const RESET: &str = "\x1b[0m";
const STDERR_MARK: &str = "! ";
const WORKER_COLORS: [&str; 6] =
    ["\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[32m", "\x1b[96m", "\x1b[95m"];

/// Prints entries; names workers from the moment there are several.
pub(super) struct Renderer {
    format: Format,
    first_worker: Option<String>,
    has_several_workers: bool,
}

impl Renderer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, first_worker: None, has_several_workers: false }
    }

    /// Prints `line`, whose event data is `data`.
    pub(super) fn write(
        &mut self,
        line: &LogLine<'_>,
        data: &str,
        output: &mut impl Write,
    ) -> io::Result<()> {
        self.meet(&line.worker_id);
        match self.format {
            Format::Json => writeln!(output, "{data}"),
            Format::Plain => self.write_plain(line, output),
            Format::Colored => self.write_colored(line, output),
        }
    }

    fn meet(&mut self, worker: &str) {
        let first = self.first_worker.get_or_insert_with(|| worker.to_owned());
        self.has_several_workers |= first != worker;
    }

    fn write_plain(&self, line: &LogLine<'_>, output: &mut impl Write) -> io::Result<()> {
        if self.has_several_workers {
            write!(output, "{} | ", line.worker_id)?;
        }
        writeln!(output, "{}{}", mark(line), clean(&line.message, Escapes::StripAll))
    }

    fn write_colored(&self, line: &LogLine<'_>, output: &mut impl Write) -> io::Result<()> {
        if self.has_several_workers {
            write!(output, "{}{} |{RESET} ", worker_color(&line.worker_id), line.worker_id)?;
        }
        let message = clean(&line.message, Escapes::KeepColors);
        let color = level_color(&line.level);
        writeln!(output, "{color}{}{message}{RESET}", mark(line))
    }
}

fn mark(line: &LogLine<'_>) -> &'static str {
    if line.source == "stderr" { STDERR_MARK } else { "" }
}

fn level_color(level: &str) -> &'static str {
    match level.to_ascii_uppercase().as_str() {
        "ERROR" | "FATAL" | "CRITICAL" => "\x1b[31m",
        "WARN" | "WARNING" => "\x1b[33m",
        "DEBUG" | "TRACE" => "\x1b[2m",
        _ => "",
    }
}

/// The same worker gets the same colour, also in the next run.
fn worker_color(worker: &str) -> &'static str {
    let sum: usize = worker.bytes().map(usize::from).sum();
    WORKER_COLORS[sum % WORKER_COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(renderer: &mut Renderer, data: &str) -> String {
        let mut output = Vec::new();
        let line = serde_json::from_str(data).unwrap();
        renderer.write(&line, data, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn plain_lines_are_the_message_alone_until_a_second_worker_shows_up() {
        let mut renderer = Renderer::new(Format::Plain);
        let first = r#"{"workerId":"a","level":"ERROR","source":"stdout","message":"\u001b[31mx\u001b[0m"}"#;
        assert_eq!(print(&mut renderer, first), "x\n");
        let second = r#"{"workerId":"b","level":"INFO","source":"stderr","message":" y"}"#;
        assert_eq!(print(&mut renderer, second), "b | !  y\n");
        assert_eq!(print(&mut renderer, first), "a | x\n");
    }

    #[test]
    fn colours_show_the_level_keep_the_messages_own_and_always_end() {
        let mut renderer = Renderer::new(Format::Colored);
        let warning = r#"{"workerId":"a","level":"warn","source":"stderr","message":"x"}"#;
        assert_eq!(print(&mut renderer, warning), "\x1b[33m! x\x1b[0m\n");
        let own =
            r#"{"workerId":"a","level":"INFO","source":"stdout","message":"\u001b[1mx\u001b[2J"}"#;
        assert_eq!(print(&mut renderer, own), "\x1b[1mx\x1b[0m\n");
    }
}
