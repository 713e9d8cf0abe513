//! One log entry as a line of output.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use serde::Deserialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::printable::printable;
use crate::terminal::{Span, Style, Terminal, without_line_end};

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
    pub(super) worker_id: Cow<'a, str>,
    #[serde(borrow, default)]
    level: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) source: Cow<'a, str>,
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

    /// What is unfinished of a line, in one row of `columns` at most: the end of it.
    pub(super) fn unfinished(&self, line: &LogLine<'_>, columns: usize) -> String {
        let mut terminal = self.terminals.get(&*line.worker_id).cloned().unwrap_or_default();
        let row = terminal.show(&line.message).pop().unwrap_or_default();
        let row = end_of(row, columns.saturating_sub(self.prefix_columns(line)));
        let mut output = Vec::new();
        // Writing to memory cannot fail.
        self.write_row(line, &row, &mut output).ok();
        String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned()
    }

    /// How many columns stand before a row of `line`.
    fn prefix_columns(&self, line: &LogLine<'_>) -> usize {
        let time = if self.look.has_times { line.timestamp.width() + 1 } else { 0 };
        let task = self.look.task.as_ref().map_or(0, |task| task.width() + 3);
        let worker = if self.has_several_workers { line.worker_id.width() + 3 } else { 0 };
        time + task + worker + mark(line).len()
    }

    fn meet(&mut self, worker: &str) {
        let first = self.first_worker.get_or_insert_with(|| worker.to_owned());
        self.has_several_workers |= first != worker;
    }

    /// Each row begins with what names its worker: a message can forge no other one.
    fn write_rows(&mut self, line: &LogLine<'_>, output: &mut impl Write) -> io::Result<()> {
        let rows = self.rows(line);
        rows.iter().try_for_each(|row| self.write_row(line, row, output))
    }

    fn write_row(
        &self,
        line: &LogLine<'_>,
        row: &[Span],
        output: &mut impl Write,
    ) -> io::Result<()> {
        self.write_time_and_task(line, output)?;
        if self.has_several_workers {
            self.write_worker(&line.worker_id, output)?;
        }
        match self.look.format {
            Format::Colored => write_colored(line, row, output),
            _ => write_plain(line, row, output),
        }
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

/// The end of `row`, `columns` wide at most; where something is left out it begins with `…`.
fn end_of(mut row: Vec<Span>, columns: usize) -> Vec<Span> {
    let width = |row: &[Span]| row.iter().map(|span| span.text.width()).sum::<usize>();
    row.iter_mut().for_each(|span| span.text = span.text.replace('\t', " "));
    let mut too_many = width(&row).saturating_sub(columns);
    if too_many == 0 {
        return row;
    }
    too_many += 1;
    for span in &mut row {
        let mut rest = span.text.as_str();
        while too_many > 0
            && let Some(first) = rest.chars().next()
        {
            too_many = too_many.saturating_sub(first.width().unwrap_or(0));
            rest = &rest[first.len_utf8()..];
        }
        span.text = rest.to_owned();
    }
    row.retain(|span| !span.text.is_empty());
    row.insert(0, Span { text: "…".to_owned(), style: Style::default() });
    row
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
    fn what_is_unfinished_is_shown_in_one_row_and_changes_nothing_of_what_follows() {
        let mut renderer = renderer(Format::Colored);
        print(&mut renderer, &message("a", "\x1b[31mred"));
        print(&mut renderer, &message("b", "x"));
        let data = message("a", "1%\r2%\x1b[2J\x1b[0m done");
        let line = serde_json::from_str(&data).unwrap();
        let shown = renderer.unfinished(&line, 80);
        assert_eq!(shown, "\x1b[35ma |\x1b[0m \x1b[31m2%\x1b[0m done");
        assert_eq!(renderer.unfinished(&line, 9), "\x1b[35ma |\x1b[0m …done");
        assert!(print(&mut renderer, &message("a", "next")).contains("\x1b[31mnext"));
    }

    #[test]
    fn raw_lines_are_the_bytes_as_they_were_sent() {
        let mut renderer = renderer(Format::Raw);
        assert_eq!(print(&mut renderer, &message("a", "\x1b[31m1%\r2%")), "\x1b[31m1%\r2%\n");
        assert_eq!(print(&mut renderer, &message("b", "windows\r\n")), "windows\n");
    }
}
