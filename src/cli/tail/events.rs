//! Prints what happens to a task.

use std::io::{self, Write};

use serde::Deserialize;

use super::follow::Failure;
use super::parts::PartJoiner;
use super::printable::printable;
use super::render::{LogLine, Renderer};
use super::unfinished::UnfinishedRow;
use crate::client::sse::Event;
use crate::client::tasks::WorkerTotals;
use crate::domain::{Outcome, TaskId, describe_gap, describe_lost};

/// A worker in a `status` or `complete` event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Worker {
    worker_id: String,
    /// Absent for a worker that never sent one.
    #[serde(alias = "status", default)]
    state: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    exit_code: Option<i64>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    cut: u64,
    #[serde(default)]
    missing: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    exit_code: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Complete {
    lines: u64,
    lost_lines: u64,
    outcome: Option<Outcome>,
    worker_counts: WorkerTotals,
    workers: Vec<Worker>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Gap {
    lines: Option<u64>,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct End {
    outcome: Option<Outcome>,
}

/// Prints one task's events. Lines and notices go to two outputs, in the order of the log.
pub(super) struct Printer {
    task: TaskId,
    renderer: Renderer,
    joiner: PartJoiner,
}

/// Where a printer prints to.
pub(super) struct Outputs<L, N> {
    /// Lines.
    pub(super) lines: L,
    /// What is said about them.
    pub(super) notices: N,
    /// Below the lines, where they go to a terminal.
    pub(super) row: UnfinishedRow,
}

impl<L: Write, N: Write> Outputs<L, N> {
    /// Shows what is unfinished below the lines, until something else is printed.
    pub(super) fn draw_row(&mut self) -> io::Result<()> {
        self.row.draw(&mut self.lines)?;
        self.lines.flush()
    }

    /// Makes way for what is printed next.
    pub(super) fn erase_row(&mut self) -> io::Result<()> {
        self.row.erase(&mut self.lines)
    }

    /// Says something to people. Lines that were printed before are shown first.
    pub(super) fn notice(&mut self, text: &str) -> io::Result<()> {
        self.lines.flush()?;
        // Following goes on when nobody listens.
        writeln!(self.notices, "otto-handler tail: {}", printable(text)).ok();
        Ok(())
    }
}

impl Printer {
    pub(super) fn new(task: TaskId, renderer: Renderer) -> Self {
        Self { task, renderer, joiner: PartJoiner::default() }
    }

    pub(super) fn task(&self) -> &TaskId {
        &self.task
    }

    /// Prints one event.
    pub(super) fn on_event<L: Write, N: Write>(
        &mut self,
        event: &Event,
        outputs: &mut Outputs<L, N>,
    ) -> io::Result<()> {
        if event.event == "heartbeat" {
            return Ok(());
        }
        if self.renderer.is_json() {
            return write_json(event, &mut outputs.lines);
        }
        match event.event.as_str() {
            "log" => return self.on_log(&event.data, outputs),
            "partial" => {
                self.on_unfinished(&event.data, &mut outputs.row);
                return Ok(());
            }
            "complete" | "error" => outputs.row.forget(&self.task),
            _ => {}
        }
        self.print_incomplete(outputs)?;
        match self.describe(event) {
            Some(text) => outputs.notice(&text),
            None => Ok(()),
        }
    }

    fn describe(&self, event: &Event) -> Option<String> {
        let data = &event.data;
        match event.event.as_str() {
            "status" => describe_status(serde_json::from_str(data).ok()?),
            "gap" => {
                let Gap { lines, reason } = parse_or_default(data);
                Some(describe_gap(lines, &reason))
            }
            "end" => Some(match parse_or_default::<End>(data).outcome {
                Some(outcome) => format!("the end of {} was told: {outcome}", self.task),
                None => format!("the end of {} was told", self.task),
            }),
            "reset" => Some("the server has a new store; its log follows from the start".into()),
            "complete" => Some(self.describe_complete(&parse_or_default(data))),
            "error" => {
                let failure: Failure = parse_or_default(data);
                failure.retryable.then(|| failure.describe())
            }
            _ => None,
        }
    }

    fn describe_complete(&self, complete: &Complete) -> String {
        let Complete { lines, lost_lines, outcome, worker_counts, workers } = complete;
        let lost = match describe_lost(*lost_lines, worker_counts.cut) {
            none if none == "0" => String::new(),
            lost => format!(", {lost} lost"),
        };
        let workers: Vec<_> = workers.iter().map(describe_worker).collect();
        let outcome = outcome.unwrap_or(Outcome::Unknown);
        let (lines, workers) = (plural_lines(*lines), workers.join(", "));
        format!("{} is complete, {outcome}: {lines}{lost}; {workers}", self.task)
    }

    fn on_log<L: Write, N: Write>(
        &mut self,
        data: &str,
        outputs: &mut Outputs<L, N>,
    ) -> io::Result<()> {
        let parsed = serde_json::from_str::<LogLine<'_>>(data);
        if let Ok(line) = &parsed {
            outputs.row.finish(&self.task, &line.worker_id, &line.source);
        }
        let output = &mut outputs.lines;
        match parsed {
            Ok(line) if self.joiner.lets_pass(&line) => self.renderer.write(&line, output),
            Ok(line) => {
                let lines = self.joiner.add(line);
                lines.iter().try_for_each(|line| self.renderer.write(line, output))
            }
            Err(error) => outputs.notice(&format!("a log event cannot be read: {error}")),
        }
    }

    fn on_unfinished(&self, data: &str, row: &mut UnfinishedRow) {
        if let Some(columns) = row.columns()
            && let Ok(line) = serde_json::from_str::<LogLine<'_>>(data)
        {
            let text = self.renderer.unfinished(&line, columns);
            row.set(&self.task, &line.worker_id, &line.source, text);
        }
    }

    /// Prints a line whose other parts will not come.
    fn print_incomplete<L: Write, N>(&mut self, outputs: &mut Outputs<L, N>) -> io::Result<()> {
        let incomplete = self.joiner.take();
        incomplete.map_or(Ok(()), |line| self.renderer.write(&line, &mut outputs.lines))
    }
}

fn describe_status(status: Worker) -> Option<String> {
    let state = status.state.as_deref()?;
    let exit_code = &status.metadata.exit_code;
    let exit = if exit_code.is_empty() { String::new() } else { format!(" ({exit_code})") };
    let separator = if status.reason.is_empty() { "" } else { ": " };
    Some(format!("worker {} is {state}{exit}{separator}{}", status.worker_id, status.reason))
}

fn describe_worker(worker: &Worker) -> String {
    let state = worker.state.as_deref().unwrap_or("UNKNOWN");
    let exit = worker.exit_code.map_or(String::new(), |code| format!(" ({code})"));
    let missing = match worker.missing {
        0 => String::new(),
        missing => format!(", {} missing", plural_lines(missing)),
    };
    let cut = if worker.cut > 0 { ", cut by its sender" } else { "" };
    format!("{} {state}{exit}{missing}{cut}", worker.worker_id)
}

/// One event as one line of JSON: its data with its name and id before it.
fn write_json(event: &Event, output: &mut impl Write) -> io::Result<()> {
    let Event { event: name, id, data } = event;
    let Some(rest) = data.trim_start().strip_prefix('{') else { return Ok(()) };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let (name, id) = (serde_json::to_string(name)?, serde_json::to_string(id)?);
    writeln!(output, "{{\"event\":{name},\"id\":{id}{comma}{rest}")
}

fn plural_lines(count: u64) -> String {
    if count == 1 { "1 line".into() } else { format!("{count} lines") }
}

fn parse_or_default<T: Default + for<'a> Deserialize<'a>>(data: &str) -> T {
    serde_json::from_str(data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::render::{Format, Look};
    use super::*;

    fn printer(format: Format) -> Printer {
        let look = Look { format, ..Look::default() };
        Printer::new(TaskId::new("t").unwrap(), Renderer::new(look))
    }

    /// What is printed, lines and notices into one file, as a shell does with `2>&1`.
    fn printed(format: Format, events: &[(&str, &str)]) -> String {
        let file = std::cell::RefCell::new(Vec::new());
        let shared = || OneFile(&file);
        let lines = io::BufWriter::new(shared());
        let mut outputs = Outputs { lines, notices: shared(), row: UnfinishedRow::hidden() };
        let mut printer = printer(format);
        for (name, data) in events {
            let event =
                Event { event: (*name).into(), id: "0000001f-3".into(), data: (*data).into() };
            printer.on_event(&event, &mut outputs).unwrap();
        }
        drop(outputs);
        String::from_utf8(file.into_inner()).unwrap()
    }

    struct OneFile<'a>(&'a std::cell::RefCell<Vec<u8>>);

    impl Write for OneFile<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_event_but_a_heartbeat_is_a_json_object_with_its_name_and_id() {
        let data = r#"{"offset":3, "line":1,"workerId":"w","message":"a\u001b[1m"}"#;
        let text = printed(Format::Json, &[("log", data), ("heartbeat", "{}"), ("gap", "{}")]);
        let log = format!("{{\"event\":\"log\",\"id\":\"0000001f-3\",{}\n", &data[1..]);
        assert_eq!(text, log + "{\"event\":\"gap\",\"id\":\"0000001f-3\"}\n");
    }

    #[test]
    fn lines_and_notices_come_in_the_order_of_the_log() {
        let line = |message: &str| format!(r#"{{"workerId":"a","message":"{message}"}}"#);
        let failed = r#"{"workerId":"a","status":"FAILED","metadata":{"exit_code":"3"},"reason":"oh\u001b]0;x\u0007\nno"}"#;
        let complete = r#"{"lines":2,"lostLines":1,"outcome":"failed","workerCounts":{"total":2,"failed":1,"cut":1},"workers":[
            {"workerId":"a","state":"FAILED","exitCode":3,"cut":1,"missing":4},
            {"workerId":"b","state":null}]}"#;
        let text = printed(
            Format::Plain,
            &[
                ("log", &line("one")),
                ("status", failed),
                ("log", &line("two")),
                ("gap", r#"{"lines":1,"reason":"too_large"}"#),
                ("gap", r#"{"lines":null,"reason":"cut"}"#),
                ("end", r#"{"outcome":"failed"}"#),
                ("complete", complete),
            ],
        );
        let expected = "one\n\
            otto-handler tail: worker a is FAILED (3): oh�]0;x��no\n\
            two\n\
            otto-handler tail: 1 line is missing here: too_large\n\
            otto-handler tail: the sender cut its stream here: what it had not sent is missing, how \
            many lines is unknown\n\
            otto-handler tail: the end of t was told: failed\n\
            otto-handler tail: t is complete, failed: 2 lines, 1 or more lost; a FAILED (3), 4 lines \
            missing, cut by its sender, b UNKNOWN\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_closed_output_is_an_error_for_the_caller() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut outputs =
            Outputs { lines: Closed, notices: io::sink(), row: UnfinishedRow::hidden() };
        let data = r#"{"workerId":"w","message":"x"}"#.to_owned();
        let event = Event { event: "log".into(), id: String::new(), data };
        let error = printer(Format::Plain).on_event(&event, &mut outputs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
