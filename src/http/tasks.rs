//! Tasks, without their logs: one, or a page of the list.

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use super::app_state::AppState;
use super::auth::identity::Identity;
use super::problem::Problem;
use super::request::params::Params;
use super::request::task_path::TaskPath;
use crate::domain::{EventId, Offset, TaskId, WorkerId, WorkerState, WorkerSummary};
use crate::encode::format_ms;
use crate::tasks::{Task, TaskState};

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// One task, as readers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView {
    task_id: String,
    state: &'static str,
    failed: bool,
    first_line: u64,
    /// The last line's number, which counts removed lines too.
    lines: u64,
    lost_lines: u64,
    bytes: u64,
    first_time: String,
    last_time: String,
    workers: Vec<WorkerView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkerView {
    worker_id: String,
    lines: u64,
    state: Option<WorkerState>,
}

/// How a task ended; the data of the `complete` event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskOutcome {
    task_id: String,
    lines: u64,
    lost_lines: u64,
    failed: bool,
    workers: Vec<WorkerView>,
}

#[derive(Serialize)]
pub(super) struct TaskPage {
    tasks: Vec<TaskView>,
    next: Option<String>,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let summary = &task.summary;
        let state = if task.state == TaskState::Complete { "complete" } else { "running" };
        Self {
            task_id: summary.task.to_string(),
            state,
            failed: task.has_failed(),
            first_line: summary.first_line,
            lines: summary.last_line,
            lost_lines: lost_lines(task),
            bytes: summary.bytes,
            first_time: format_ms(summary.first_time_ms),
            last_time: format_ms(summary.last_time_ms),
            workers: summary.workers.iter().map(WorkerView::from).collect(),
        }
    }
}

impl From<&WorkerSummary> for WorkerView {
    fn from(worker: &WorkerSummary) -> Self {
        let worker_id = WorkerId::to_string(&worker.worker);
        Self { worker_id, lines: worker.lines, state: worker.state }
    }
}

impl From<&Task> for TaskOutcome {
    fn from(task: &Task) -> Self {
        Self {
            task_id: TaskId::to_string(&task.summary.task),
            lines: task.summary.last_line,
            lost_lines: lost_lines(task),
            failed: task.has_failed(),
            workers: task.summary.workers.iter().map(WorkerView::from).collect(),
        }
    }
}

/// Lines that could not be kept, and lines that retention removed.
fn lost_lines(task: &Task) -> u64 {
    task.summary.lost_lines + task.summary.first_line.saturating_sub(1)
}

/// One task.
pub(super) async fn one(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
) -> Result<Json<TaskView>, Problem> {
    Params::read(&uri, &[])?;
    identity.check(&task)?;
    let found = state.source().tasks.get(&task).ok_or_else(|| Problem::no_such_task(&task))?;
    Ok(Json(TaskView::from(&found)))
}

/// A page of tasks, the one with the newest entry first.
pub(super) async fn list(
    State(state): State<AppState>,
    identity: Identity,
    uri: Uri,
) -> Result<Json<TaskPage>, Problem> {
    let query = ListQuery::read(&state, &uri)?;
    let tasks = state.source().tasks.list();
    let mut matching = tasks
        .iter()
        .filter(|task| identity.tasks.allows(&task.summary.task) && query.matches(task));
    let page: Vec<&Task> = matching.by_ref().take(query.limit).collect();
    let next = match (matching.next(), page.last()) {
        (Some(_), Some(last)) => Some(cursor(&state, last.summary.last_offset)),
        _ => None,
    };
    Ok(Json(TaskPage { tasks: page.into_iter().map(TaskView::from).collect(), next }))
}

struct ListQuery {
    limit: usize,
    /// Only tasks whose newest entry is before this one, the last of the previous page.
    before: Option<Offset>,
    is_complete: Option<bool>,
}

impl ListQuery {
    fn read(state: &AppState, uri: &Uri) -> Result<Self, Problem> {
        let params = Params::read(uri, &[&["limit", "cursor", "state"]])?;
        let limit = params.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
        let epoch = state.source().log.epoch();
        let before = params.parsed("cursor", "it must be the `next` of a page before", |text| {
            let id: EventId = text.parse().ok()?;
            (id.epoch == epoch).then_some(id.offset)
        })?;
        let is_complete = params.parsed("state", "it must be running or complete", |text| {
            Some(match text {
                "running" => false,
                "complete" => true,
                _ => return None,
            })
        })?;
        Ok(Self { limit, before, is_complete })
    }

    fn matches(&self, task: &Task) -> bool {
        let is_complete = task.state == TaskState::Complete;
        self.before.is_none_or(|before| task.summary.last_offset < before)
            && self.is_complete.is_none_or(|asked| asked == is_complete)
    }
}

fn cursor(state: &AppState, offset: Offset) -> String {
    EventId { epoch: state.source().log.epoch(), offset }.to_string()
}
