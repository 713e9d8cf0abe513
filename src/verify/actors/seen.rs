//! From an event of a stream to what is recorded of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::verify::line;
use crate::verify::record::{Event, Run};
use crate::verify::recorder::Recorder;

/// How much of a line that nobody sent is recorded, in letters.
const FOREIGN_LETTERS: usize = 120;

/// A `log` event, or a line of a download.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogLine<'a> {
    offset: u64,
    line: u64,
    #[serde(borrow)]
    task_id: Cow<'a, str>,
    #[serde(borrow)]
    worker_id: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// A `gap` event.
#[derive(Debug, Deserialize)]
struct Gap<'a> {
    from: u64,
    to: u64,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

/// Collects what a reader saw until it is recorded, and knows how far it is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The reader's task; none when it reads all.
    task: Option<String>,
    waiting: BTreeMap<String, Vec<Run>>,
    last_lines: BTreeMap<String, u64>,
    lines: u64,
}

impl Seen {
    pub(super) fn of(task: Option<String>) -> Self {
        Self { task, ..Self::default() }
    }

    /// The last line of `task` that was seen.
    pub(super) fn last_line(&self, task: &str) -> u64 {
        self.last_lines.get(task).copied().unwrap_or(0)
    }

    /// Forgets how far the reader is: it begins anew.
    pub(super) fn restart(&mut self) {
        self.last_lines.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes one line; where it is nobody's, that is recorded at once.
    ///
    /// # Errors
    /// When the JSON is not that of a line.
    pub(super) async fn log(&mut self, json: &str, recorder: &Recorder) -> Result<(), String> {
        let found: LogLine<'_> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let LogLine { offset, line, task_id, worker_id, message } = found;
        self.lines += 1;
        let last = self.last_lines.entry(task_id.to_string()).or_default();
        *last = line.max(*last);
        let Some(number) = line::number(&task_id, &worker_id, &message) else {
            self.record(recorder).await;
            let text = message.chars().take(FOREIGN_LETTERS).collect();
            let (task, worker) = (task_id.into_owned(), worker_id.into_owned());
            recorder.record(Event::Foreign { task, worker, line, text }).await;
            return Ok(());
        };
        let run = Run { worker: worker_id.into_owned(), number, line, offset, count: 1 };
        let runs = self.waiting.entry(task_id.into_owned()).or_default();
        let left = match runs.last_mut() {
            Some(last) => last.extend(run).err(),
            None => Some(run),
        };
        runs.extend(left);
        Ok(())
    }

    /// Takes a gap, after what was seen before it.
    ///
    /// # Errors
    /// When the JSON is not that of a gap.
    pub(super) async fn gap(&mut self, json: &str, recorder: &Recorder) -> Result<(), String> {
        let Gap { from, to, reason } =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        self.record(recorder).await;
        let (task, reason) = (self.task.clone(), reason.into_owned());
        recorder.record(Event::Gap { task, from, to, reason }).await;
        Ok(())
    }

    /// Records what was seen; how many lines came since the last time.
    pub(super) async fn record(&mut self, recorder: &Recorder) -> u64 {
        for (task, runs) in std::mem::take(&mut self.waiting) {
            recorder.record(Event::Saw { task, runs }).await;
        }
        std::mem::take(&mut self.lines)
    }
}
