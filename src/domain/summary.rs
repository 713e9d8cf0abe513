//! What is known about a task without reading its log.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ids::{Offset, TaskId, WorkerId};
use super::outcome::ToldEnd;

/// A worker's state, from the status notification that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WorkerState {
    /// The pod exists.
    Created,
    /// Its process runs.
    Running,
    /// It ended with success.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was stopped before it ended.
    Terminated,
}

impl WorkerState {
    /// Whether a worker in this state sends nothing more.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Terminated)
    }

    /// The state's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Terminated => "TERMINATED",
        }
    }
}

/// One worker of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSummary {
    /// Its id.
    pub worker: WorkerId,
    /// How many log lines came from it.
    pub lines: u64,
    /// The state that counts of those that it notified, if it ever notified one.
    pub state: Option<WorkerState>,
    /// The offset of that notification.
    pub state_offset: Option<Offset>,
    /// The offset of its last notification.
    pub last_status: Option<Offset>,
    /// The exit code of its process, where the notification that counts told it.
    pub exit_code: Option<i32>,
    /// How many of its streams their sender cut; how many lines are missing is unknown.
    pub cut: u32,
    /// How many of the numbers that its producers gave to entries never came.
    pub missing: u64,
}

/// How many workers of a task are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerCounts {
    /// All of them.
    pub total: u32,
    /// Those that never notified a state.
    pub unknown: u32,
    /// Those whose last notified state is `CREATED`.
    pub created: u32,
    /// `RUNNING`.
    pub running: u32,
    /// `COMPLETED`.
    pub completed: u32,
    /// `FAILED`.
    pub failed: u32,
    /// `TERMINATED`.
    pub terminated: u32,
    /// Those that sent lines and have not ended.
    pub unended: u32,
    /// Those of whom nothing was kept but that entries of theirs were refused.
    pub silent: u32,
    /// Those of whom a stream was cut.
    pub cut: u32,
}

/// What of a worker decides where it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedWorker {
    /// The state that counts of those that it notified.
    pub state: Option<WorkerState>,
    /// How many lines came from it.
    pub lines: u64,
    /// How many of its streams were cut.
    pub cut: u32,
}

impl WorkerCounts {
    /// Counts a worker in.
    pub fn add(&mut self, worker: CountedWorker) {
        self.total += 1;
        *self.of(worker.state) += 1;
        self.unended += u32::from(worker.is_unended());
        self.silent += u32::from(worker.is_silent());
        self.cut += u32::from(worker.cut > 0);
    }

    /// Counts a worker out.
    pub fn remove(&mut self, worker: CountedWorker) {
        self.total = self.total.saturating_sub(1);
        let of_state = self.of(worker.state);
        *of_state = of_state.saturating_sub(1);
        self.unended = self.unended.saturating_sub(u32::from(worker.is_unended()));
        self.silent = self.silent.saturating_sub(u32::from(worker.is_silent()));
        self.cut = self.cut.saturating_sub(u32::from(worker.cut > 0));
    }

    /// How many have sent something, or notified something.
    pub const fn known(&self) -> u32 {
        self.total.saturating_sub(self.silent)
    }

    /// How many have ended.
    pub const fn ended(&self) -> u32 {
        self.completed + self.failed + self.terminated
    }

    fn of(&mut self, state: Option<WorkerState>) -> &mut u32 {
        match state {
            None => &mut self.unknown,
            Some(WorkerState::Created) => &mut self.created,
            Some(WorkerState::Running) => &mut self.running,
            Some(WorkerState::Completed) => &mut self.completed,
            Some(WorkerState::Failed) => &mut self.failed,
            Some(WorkerState::Terminated) => &mut self.terminated,
        }
    }
}

impl CountedWorker {
    fn is_unended(self) -> bool {
        self.lines > 0 && !self.state.is_some_and(WorkerState::has_ended)
    }

    fn is_silent(self) -> bool {
        self.lines == 0 && self.state.is_none()
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSummary {
    /// Its id.
    pub task: TaskId,
    /// The first entry that is still kept.
    pub first_offset: Offset,
    /// The last entry.
    pub last_offset: Offset,
    /// The line number of the first kept line; `last_line + 1` when no line is kept.
    pub first_line: u64,
    /// The line number of the last line; 0 when there was none.
    pub last_line: u64,
    /// Bytes of the kept entries, as encoded.
    pub bytes: u64,
    /// Lines that producers sent and that could not be kept: the sum of the log's `gap` records.
    pub lost_lines: u64,
    /// Lines from its middle that the limit on its bytes has taken.
    pub trimmed_lines: u64,
    /// When the first kept entry was committed, in milliseconds since the Unix epoch.
    pub first_time_ms: u64,
    /// When the last entry was committed, in milliseconds since the Unix epoch.
    pub last_time_ms: u64,
    /// The same on the clock that is never set, where it was in this process.
    pub last_commit: Option<Instant>,
    /// Its end, where somebody told it.
    pub told_end: Option<ToldEnd>,
    /// How many workers it has.
    pub worker_counts: WorkerCounts,
    /// The first of its workers, in the order in which they first appeared; not more than were
    /// asked for.
    pub workers: Vec<WorkerSummary>,
}
