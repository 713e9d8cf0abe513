//! One log entry as a line of output.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use serde::Deserialize;

use super::printable::printable;
use crate::terminal::{Span, Terminal, without_line_end};

/// How lines are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Every event, as JSON.
    Json,
    /// The message as it was sent, whatever that does to the reader's terminal.
    Raw,
    /// What a terminal shows of the message, without colours.
    #[default]
    Plain,
    /// The same with level and worker colours, and the message's own.
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
    pub(super) message: Cow<'a, str>,
    #[serde(borrow, default)]
    timestamp: Cow<'a, str>,
    #[serde(default)]
    line: Option<u64>,
    /// Which part of its line it is, from 1; 0 where the line is one entry.
    #[serde(default)]
    pub(super) part: u32,
    #[serde(default)]
    pub(super) parts: u32,
}

impl LogLine<'_> {
    /// Whether `next` is the part that comes next.
    pub(super) fn is_followed_by(&self, next: &LogLine<'_>) -> bool {
        self.line == next.line && self.part + 1 == next.part
    }

    pub(super) fn into_owned(self) -> LogLine<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        LogLine {
            worker_id: owned(self.worker_id),
            level: owned(self.level),
            source: owned(self.source),
            message: owned(self.message),
            timestamp: owned(self.timestamp),
            line: self.line,
            part: self.part,
            parts: self.parts,
        }
    }
}

const RESET: &str = "\x1b[0m";
const STDERR_MARK: &str = "! ";
const WORKER_COLORS: [&str; 6] =
    ["\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[32m", "\x1b[96m", "\x1b[95m"];

/// What a line looks like.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub(super) format: Format,
    /// Whether a line begins with its time.
    pub(super) has_times: bool,
    /// What each line begins with, where several tasks are followed.
    pub(super) task: Option<String>,
}

/// Prints entries; names workers from the moment there are several.
pub(super) struct Renderer {
    look: Look,
    first_worker: Option<String>,
    has_several_workers: bool,
    /// The terminals of workers whose last line left a style set.
    terminals: HashMap<String, Terminal>,
}

impl Renderer {
    pub(super) fn new(look: Look) -> Self {
        Self { look, first_worker: None, has_several_workers: false, terminals: HashMap::new() }
    }

    /// Whether events are printed as JSON, not as text.
    pub(super) fn is_json(&self) -> bool {
        self.look.format == Format::Json
    }

    /// Prints `line` as text.
    pub(super) fn write(&mut self, line: &LogLine<'_>, output: &mut impl Write) -> io::Result<()> {
        self.meet(&line.worker_id);
        match self.look.format {
            Format::Raw => writeln!(output, "{}", without_line_end(&line.message)),
            Format::Plain | Format::Colored | Format::Json => self.write_rows(line, output),
        }
    }

    fn meet(&mut self, worker: &str) {
        let first = self.first_worker.get_or_insert_with(|| worker.to_owned());
        self.has_several_workers |= first != worker;
    }

    /// Each row begins with what names its worker: a message can forge no other one.
    fn write_rows(&mut self, line: &LogLine<'_>, output: &mut impl Write) -> io::Result<()> {
        for row in self.rows(line) {
            self.write_time_and_task(line, output)?;
            if self.has_several_workers {
                self.write_worker(&line.worker_id, output)?;
            }
            match self.look.format {
                Format::Colored => write_colored(line, &row, output)?,
                _ => write_plain(line, &row, output)?,
            }
        }
        Ok(())
    }

    fn write_time_and_task(&self, line: &LogLine<'_>, output: &mut impl Write) -> io::Result<()> {
        if self.look.has_times {
            write!(output, "{} ", printable(&line.timestamp))?;
        }
        match &self.look.task {
            Some(task) => write!(output, "{task} | "),
            None => Ok(()),
        }
    }

    /// What the worker's terminal shows of `line`.
    fn rows(&mut self, line: &LogLine<'_>) -> Vec<Vec<Span>> {
        let mut terminal = self.terminals.remove(&*line.worker_id).unwrap_or_default();
        let rows = terminal.show(&line.message);
        if !terminal.is_fresh() {
            self.terminals.insert(line.worker_id.clone().into_owned(), terminal);
        }
        rows
    }

    fn write_worker(&self, worker: &str, output: &mut impl Write) -> io::Result<()> {
        match self.look.format {
            Format::Colored => write!(output, "{}{worker} |{RESET} ", worker_color(worker)),
            _ => write!(output, "{worker} | "),
        }
    }
}

fn write_plain(line: &LogLine<'_>, row: &[Span], output: &mut impl Write) -> io::Result<()> {
    write!(output, "{}", mark(line))?;
    row.iter().try_for_each(|span| write!(output, "{}", span.text))?;
    writeln!(output)
}

/// A style stands on top of the level's colour.
fn write_colored(line: &LogLine<'_>, row: &[Span], output: &mut impl Write) -> io::Result<()> {
    let color = level_color(&line.level);
    write!(output, "{color}{}", mark(line))?;
    for Span { text, style } in row {
        if style.is_plain() {
            write!(output, "{text}")?;
        } else {
            write!(output, "{style}{text}{RESET}{color}")?;
        }
    }
    writeln!(output, "{}", if color.is_empty() { "" } else { RESET })
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

    fn renderer(format: Format) -> Renderer {
        Renderer::new(Look { format, ..Look::default() })
    }

    #[test]
    fn a_line_may_begin_with_its_time_and_its_task() {
        let look = Look { has_times: true, task: Some("build".into()), ..Look::default() };
        let data = r#"{"workerId":"a","timestamp":"2026-11-28T10:00:00Z","message":"x"}"#;
        let printed = print(&mut Renderer::new(look), data);
        assert_eq!(printed, "2026-11-28T10:00:00Z build | x\n");
    }

    fn print(renderer: &mut Renderer, data: &str) -> String {
        let mut output = Vec::new();
        let line = serde_json::from_str(data).unwrap();
        renderer.write(&line, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn plain_lines_are_the_message_alone_until_a_second_worker_shows_up() {
        let mut renderer = renderer(Format::Plain);
        let first = r#"{"workerId":"a","level":"ERROR","source":"stdout","message":"\u001b[31mx\u001b[0m"}"#;
        assert_eq!(print(&mut renderer, first), "x\n");
        let second = r#"{"workerId":"b","level":"INFO","source":"stderr","message":" y"}"#;
        assert_eq!(print(&mut renderer, second), "b | !  y\n");
        assert_eq!(print(&mut renderer, first), "a | x\n");
    }

    #[test]
    fn colours_show_the_level_keep_the_messages_own_and_always_end() {
        let mut renderer = renderer(Format::Colored);
        let warning = r#"{"workerId":"a","level":"warn","source":"stderr","message":"x"}"#;
        assert_eq!(print(&mut renderer, warning), "\x1b[33m! x\x1b[0m\n");
        let own = r#"{"workerId":"a","level":"INFO","source":"stdout","message":"\u001b[1mx\u001b[2J\u001b[m y"}"#;
        assert_eq!(print(&mut renderer, own), "\x1b[1mx\x1b[0m y\n");
        let plain = r#"{"workerId":"a","level":"INFO","source":"stdout","message":"x"}"#;
        assert_eq!(print(&mut renderer, plain), "x\n");
    }

    fn message(worker: &str, text: &str) -> String {
        serde_json::json!({ "workerId": worker, "message": text }).to_string()
    }

    #[test]
    fn a_worker_can_forge_neither_anothers_line_nor_title_nor_clipboard() {
        for format in [Format::Plain, Format::Colored] {
            let mut renderer = renderer(format);
            print(&mut renderer, &message("good", "x"));
            for forged in [
                "x\rgood | all tests passed    ",
                "x\ngood | all tests passed",
                "\u{1b}[1A\u{1b}[2Kgood | all tests passed",
                "\u{1b}]0;title\u{7}\u{1b}]52;c;Zm9v\u{1b}\\\u{9b}2Jx",
            ] {
                let printed = print(&mut renderer, &message("evil", forged));
                let printed = printed.replace("\x1b[36mevil |\x1b[0m ", "evil | ");
                assert!(printed.lines().all(|line| line.starts_with("evil | ")), "{printed:?}");
                let controls = printed.chars().filter(|c| c.is_control() && *c != '\n');
                assert_eq!(controls.count(), 0, "{printed:?}");
            }
        }
    }

    #[test]
    fn a_style_lasts_over_a_workers_lines_and_no_others() {
        let mut renderer = renderer(Format::Colored);
        assert_eq!(print(&mut renderer, &message("a", "\x1b[31mpanic")), "\x1b[31mpanic\x1b[0m\n");
        let other = print(&mut renderer, &message("b", "plain"));
        assert!(other.ends_with("plain\n"), "{other:?}");
        let next = print(&mut renderer, &message("a", "frame\x1b[0m"));
        assert!(next.ends_with("\x1b[31mframe\x1b[0m\n"), "{next:?}");
        assert!(renderer.terminals.is_empty());
    }

    #[test]
    fn raw_lines_are_the_bytes_as_they_were_sent() {
        let mut renderer = renderer(Format::Raw);
        assert_eq!(print(&mut renderer, &message("a", "\x1b[31m1%\r2%")), "\x1b[31m1%\r2%\n");
        assert_eq!(print(&mut renderer, &message("b", "windows\r\n")), "windows\n");
    }
}
