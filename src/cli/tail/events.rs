//! Prints each event of a task's stream.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Deserialize;

use super::parts::PartJoiner;
use super::render::{LogLine, Renderer};
use crate::cli::exit;
use crate::client::sse::Event;
use crate::domain::{Outcome, TaskId, describe_gap};

/// How following ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TailEnd {
    Ended,
    Refused(String),
    GaveUp(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkerStatus {
    worker_id: String,
    /// Absent for a worker that never sent one.
    #[serde(alias = "status", default)]
    state: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Complete {
    lines: u64,
    lost_lines: u64,
    /// Absent where the server is older than outcomes.
    outcome: Option<String>,
    workers: Vec<WorkerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Gap {
    lines: Option<u64>,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failure {
    code: String,
    message: String,
    retryable: bool,
}

/// Prints a task's events and remembers its workers' states.
pub(super) struct Tail<W> {
    task: TaskId,
    renderer: Renderer,
    joiner: PartJoiner,
    output: W,
    states: BTreeMap<String, String>,
    outcome: Option<Outcome>,
}

impl<W: Write> Tail<W> {
    pub(super) fn new(task: TaskId, renderer: Renderer, output: W) -> Self {
        let joiner = PartJoiner::default();
        Self { task, renderer, joiner, output, states: BTreeMap::new(), outcome: None }
    }

    /// Prints one event; why the tail ends when it was the last.
    pub(super) fn on_event(&mut self, event: &Event) -> io::Result<Option<TailEnd>> {
        if !matches!(event.event.as_str(), "log" | "heartbeat") {
            self.print_unfinished()?;
        }
        if self.renderer.is_json() {
            self.write_json(event)?;
        }
        match event.event.as_str() {
            "log" if self.renderer.is_json() => {}
            "log" => return self.on_log(&event.data).map(|()| None),
            // Standard error is not buffered: what came before is to be seen before.
            "status" => {
                self.flush()?;
                self.on_status(&event.data);
            }
            "gap" => {
                self.flush()?;
                let Gap { lines, reason } = parse_or_default(&event.data);
                print_notice(&describe_gap(lines, &reason));
            }
            "reset" => print_notice("the server has a new store; its log follows from the start"),
            "complete" => {
                self.flush()?;
                self.on_complete(parse_or_default(&event.data));
                return Ok(Some(TailEnd::Ended));
            }
            "error" => return Ok(on_failure(parse_or_default(&event.data))),
            _ => {}
        }
        Ok(None)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// How it ended, as an exit code. Where the log's end came before the task's, as with
    /// `--no-follow`, the workers' states say it: nothing bad so far is well.
    pub(super) fn exit_code(&self) -> u8 {
        if let Some(outcome) = self.outcome {
            return exit::of_outcome(outcome);
        }
        let has = |wanted: &str| self.states.values().any(|state| state == wanted);
        match () {
            () if has("FAILED") => exit::TASK_FAILED,
            () if has("TERMINATED") => exit::TASK_TERMINATED,
            () => exit::SUCCESS,
        }
    }

    /// The event's data with the event's name and id before it.
    fn write_json(&mut self, event: &Event) -> io::Result<()> {
        let Event { event: name, id, data } = event;
        match data.strip_prefix('{').filter(|_| name != "heartbeat") {
            Some(rest) => {
                let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
                let id = serde_json::Value::from(id.as_str());
                writeln!(self.output, r#"{{"event":"{name}","id":{id}{comma}{rest}"#)
            }
            None => Ok(()),
        }
    }

    fn on_log(&mut self, data: &str) -> io::Result<()> {
        match serde_json::from_str::<LogLine<'_>>(data) {
            Ok(line) if self.joiner.lets_pass(&line) => {
                self.renderer.write(&line, &mut self.output)
            }
            Ok(line) => {
                let lines = self.joiner.add(line);
                lines.iter().try_for_each(|line| self.renderer.write(line, &mut self.output))
            }
            Err(error) => {
                print_notice(&format!("a log event cannot be read: {error}"));
                Ok(())
            }
        }
    }

    /// Prints a line whose other parts will not come.
    fn print_unfinished(&mut self) -> io::Result<()> {
        let unfinished = self.joiner.take();
        unfinished.map_or(Ok(()), |line| self.renderer.write(&line, &mut self.output))
    }

    fn on_status(&mut self, data: &str) {
        let Ok(status) = serde_json::from_str::<WorkerStatus>(data) else { return };
        let state = status.state.as_deref().unwrap_or("UNKNOWN");
        let reason = &status.reason;
        let separator = if reason.is_empty() { "" } else { ": " };
        print_notice(&format!("worker {} is {state}{separator}{reason}", status.worker_id));
        self.remember(status);
    }

    fn on_complete(&mut self, complete: Complete) {
        let Complete { lines, lost_lines, outcome, workers } = complete;
        self.outcome = outcome.and_then(|outcome| outcome.parse().ok());
        workers.into_iter().for_each(|worker| self.remember(worker));
        let ends: Vec<_> =
            self.states.iter().map(|(worker, state)| format!("{worker} {state}")).collect();
        let lost = if lost_lines > 0 { format!(", {lost_lines} lost") } else { String::new() };
        print_notice(&format!(
            "{} is complete{}: {lines} lines{lost}; {}",
            self.task,
            self.outcome.map(|outcome| format!(" ({outcome})")).unwrap_or_default(),
            ends.join(", ")
        ));
    }

    fn remember(&mut self, status: WorkerStatus) {
        if let Some(state) = status.state {
            self.states.insert(status.worker_id, state);
        }
    }
}

fn on_failure(failure: Failure) -> Option<TailEnd> {
    let text = format!("the server reports {}: {}", failure.code, failure.message);
    if failure.retryable {
        print_notice(&text);
        return None;
    }
    Some(TailEnd::Refused(text))
}

fn parse_or_default<T: Default + for<'a> Deserialize<'a>>(data: &str) -> T {
    serde_json::from_str(data).unwrap_or_default()
}

fn print_notice(text: &str) {
    // Following goes on when standard error is closed.
    writeln!(io::stderr(), "otto-handler tail: {text}").ok();
}

#[cfg(test)]
mod tests {
    use super::super::render::Format;
    use super::*;

    fn tail(format: Format) -> Tail<Vec<u8>> {
        Tail::new(TaskId::new("t").unwrap(), Renderer::new(format), Vec::new())
    }

    fn play(tail: &mut Tail<Vec<u8>>, event: &str, data: &str) -> Option<TailEnd> {
        let event = Event { event: event.into(), id: String::new(), data: data.into() };
        tail.on_event(&event).unwrap()
    }

    fn printed(tail: Tail<Vec<u8>>) -> String {
        String::from_utf8(tail.output).unwrap()
    }

    #[test]
    fn json_has_every_event_with_its_id_and_heartbeats_are_not_printed() {
        let mut tail = tail(Format::Json);
        let data = r#"{"offset":3, "line":1,"workerId":"w","message":"a\u001b[1m"}"#;
        assert_eq!(play(&mut tail, "log", data), None);
        assert_eq!(play(&mut tail, "heartbeat", "{}"), None);
        play(&mut tail, "gap", r#"{"lines":2}"#);
        let log = data.replacen('{', r#"{"event":"log","id":"","#, 1);
        assert_eq!(
            printed(tail),
            format!("{log}\n{{\"event\":\"gap\",\"id\":\"\",\"lines\":2}}\n")
        );
    }

    #[test]
    fn complete_ends_and_each_outcome_has_its_code() {
        let codes =
            [("succeeded", 0), ("failed", 1), ("terminated", 6), ("lost", 3), ("unknown", 3)];
        for (outcome, code) in codes {
            let mut tail = tail(Format::Plain);
            let data = format!(r#"{{"lines":5,"outcome":"{outcome}","workers":[]}}"#);
            assert_eq!(play(&mut tail, "complete", &data), Some(TailEnd::Ended));
            assert_eq!(tail.exit_code(), code, "{outcome}");
        }
    }

    #[test]
    fn without_an_outcome_a_failed_worker_counts() {
        let mut tail = tail(Format::Plain);
        let data = r#"{"lines":5,"lostLines":0,"workers":[
            {"workerId":"a","state":"COMPLETED"},{"workerId":"b","state":"FAILED"}]}"#;
        assert_eq!(play(&mut tail, "complete", data), Some(TailEnd::Ended));
        assert_eq!(tail.exit_code(), exit::TASK_FAILED);
    }

    #[test]
    fn the_last_status_of_a_worker_counts() {
        let mut tail = tail(Format::Plain);
        play(&mut tail, "status", r#"{"workerId":"a","status":"TERMINATED","reason":"evicted"}"#);
        assert_eq!(tail.exit_code(), exit::TASK_TERMINATED);
        play(&mut tail, "status", r#"{"workerId":"a","state":"COMPLETED"}"#);
        let without_state = r#"{"lines":0,"workers":[{"workerId":"b","state":null}]}"#;
        assert_eq!(play(&mut tail, "complete", without_state), Some(TailEnd::Ended));
        assert_eq!(tail.exit_code(), exit::SUCCESS);
    }

    #[test]
    fn an_error_event_ends_unless_it_may_pass() {
        let mut tail = tail(Format::Plain);
        let passing = r#"{"code":"draining","message":"restarting","retryable":true}"#;
        assert_eq!(play(&mut tail, "error", passing), None);
        let expired = r#"{"code":"token_expired","message":"log in again","retryable":false}"#;
        let refused = "the server reports token_expired: log in again".to_owned();
        assert_eq!(play(&mut tail, "error", expired), Some(TailEnd::Refused(refused)));
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
        let mut tail = Tail::new(TaskId::new("t").unwrap(), Renderer::new(Format::Plain), Closed);
        let data = r#"{"workerId":"w","message":"x"}"#.to_owned();
        let event = Event { event: "log".into(), id: String::new(), data };
        assert_eq!(tail.on_event(&event).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
