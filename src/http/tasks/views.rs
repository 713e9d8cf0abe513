//! How tasks and workers are shown in JSON.

use serde::Serialize;

use crate::domain::{Outcome, TaskId, WorkerCounts, WorkerId, WorkerState, WorkerSummary};
use crate::encode::format_ms;
use crate::tasks::Task;

/// One task, as readers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TaskView {
    task_id: String,
    state: &'static str,
    /// How it ended; `null` while it runs.
    outcome: Option<Outcome>,
    /// Whether a worker failed, also while the task runs.
    failed: bool,
    first_line: u64,
    /// The last line's number, which counts removed lines too.
    lines: u64,
    lost_lines: u64,
    /// Lines that `--task-bytes` has taken.
    trimmed_lines: u64,
    bytes: u64,
    first_time: String,
    last_time: String,
    worker_counts: WorkerCounts,
    /// The first of them, in the order in which they appeared.
    workers: Vec<WorkerView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct WorkerView {
    worker_id: String,
    lines: u64,
    /// How many of its streams their sender cut.
    cut: u32,
    /// How many of the numbers that its producers gave to lines never came.
    missing: u64,
    /// Of its process, where its status told it.
    exit_code: Option<i32>,
    state: Option<WorkerState>,
}

/// How a task ended; the data of the `complete` event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TaskOutcome {
    task_id: String,
    lines: u64,
    lost_lines: u64,
    outcome: Option<Outcome>,
    failed: bool,
    worker_counts: WorkerCounts,
    /// The first of them, in the order in which they appeared.
    workers: Vec<WorkerView>,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let summary = &task.summary;
        let state = if task.is_complete() { "complete" } else { "running" };
        Self {
            task_id: summary.task.to_string(),
            state,
            outcome: task.outcome(),
            failed: task.has_failed(),
            first_line: summary.first_line,
            lines: summary.last_line,
            lost_lines: lost_lines(task),
            trimmed_lines: summary.trimmed_lines,
            bytes: summary.bytes,
            first_time: format_ms(summary.first_time_ms),
            last_time: format_ms(summary.last_time_ms),
            worker_counts: summary.worker_counts,
            workers: summary.workers.iter().map(WorkerView::from).collect(),
        }
    }
}

impl From<&WorkerSummary> for WorkerView {
    fn from(worker: &WorkerSummary) -> Self {
        let worker_id = WorkerId::to_string(&worker.worker);
        let WorkerSummary { lines, state, exit_code, cut, missing, .. } = *worker;
        Self { worker_id, lines, state, exit_code, cut, missing }
    }
}

impl From<&Task> for TaskOutcome {
    fn from(task: &Task) -> Self {
        Self {
            task_id: TaskId::to_string(&task.summary.task),
            lines: task.summary.last_line,
            lost_lines: lost_lines(task),
            outcome: task.outcome(),
            failed: task.has_failed(),
            worker_counts: task.summary.worker_counts,
            workers: task.summary.workers.iter().map(WorkerView::from).collect(),
        }
    }
}

/// Lines that could not be kept, and lines that retention removed.
fn lost_lines(task: &Task) -> u64 {
    task.summary.lost_lines + task.summary.first_line.saturating_sub(1)
}

/// A page of a task's workers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct WorkerPage {
    pub(super) worker_counts: WorkerCounts,
    pub(super) workers: Vec<WorkerView>,
    /// The `skip` of the next page.
    pub(super) next_skip: Option<usize>,
}
