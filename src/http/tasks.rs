//! Tasks, without their logs: one, or a page of the list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Serialize;

use super::app_state::AppState;
use super::auth::identity::Identity;
use super::problem::Problem;
use super::request::params::Params;
use super::request::task_path::TaskPath;
use crate::domain::{EventId, Offset, TaskId, WorkerCounts, WorkerId, WorkerState, WorkerSummary};
use crate::encode::format_ms;
use crate::store::{DeleteError, TaskQuery};
use crate::tasks::{DeleteTaskError, Task, TaskState};

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// How many tasks are looked at in one piece, and how long a page is searched for: a filter may hide
/// any number. A page that is not full then has a `next` all the same.
const SCANNED_AT_ONCE: usize = 20_000;
const SEARCH_TIME: Duration = Duration::from_millis(250);

/// How long a deletion is waited for; a store that waits makes it later.
const DELETION_PATIENCE: Duration = Duration::from_secs(10);

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
    worker_counts: WorkerCounts,
    /// The first of them, in the order in which they appeared.
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
            worker_counts: task.summary.worker_counts,
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
    let found =
        state.source().tasks.get(&task).await?.ok_or_else(|| Problem::no_such_task(&task))?;
    Ok(Json(TaskView::from(&found)))
}

/// Deletes a task that is complete.
pub(super) async fn delete(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    identity.check_deletion(&task)?;
    let deleting = state.source().tasks.delete(&task);
    let deleted = tokio::time::timeout(DELETION_PATIENCE, deleting).await;
    let deleted = deleted.map_err(|_| Problem::slow_deletion(&task))?;
    deleted.map_err(|error| match error {
        DeleteTaskError::Unknown => Problem::no_such_task(&task),
        DeleteTaskError::Running => Problem::running(&task),
        DeleteTaskError::Log(DeleteError::Read(error)) => error.into(),
        DeleteTaskError::Log(error) => Problem::not_deleted(error),
    })?;
    let subject = identity.subject.as_deref().unwrap_or("anybody");
    tracing::info!(task = task.as_str(), subject, "a task was deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// A page of a task's workers, in the order in which they appeared.
pub(super) async fn workers(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
) -> Result<Json<WorkerPage>, Problem> {
    let params = Params::read(&uri, &[&["limit", "skip"]])?;
    identity.check(&task)?;
    let limit = params.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let skip = params.number("skip", 0..=u64::from(u32::MAX))?.unwrap_or(0) as usize;
    let log = &state.source().log;
    let known = log.task(&task).await?.ok_or_else(|| Problem::no_such_task(&task))?;
    let workers = log.workers(task, skip, limit).await?;
    let next = skip + workers.len();
    let has_more = !workers.is_empty() && next < known.worker_counts.total as usize;
    Ok(Json(WorkerPage {
        worker_counts: known.worker_counts,
        workers: workers.iter().map(WorkerView::from).collect(),
        next_skip: has_more.then_some(next),
    }))
}

/// A page of a task's workers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkerPage {
    worker_counts: WorkerCounts,
    workers: Vec<WorkerView>,
    /// The `skip` of the next page.
    next_skip: Option<usize>,
}

/// A page of tasks, the one with the newest entry first.
pub(super) async fn list(
    State(state): State<AppState>,
    identity: Identity,
    uri: Uri,
) -> Result<Json<TaskPage>, Problem> {
    let mut query = ListQuery::read(&state, &uri)?;
    let mut found = Vec::new();
    let deadline = Instant::now() + SEARCH_TIME;
    loop {
        let page = state.source().tasks.page(query.store_query(&identity, found.len())).await?;
        found.extend(page.tasks.into_iter().filter(|task| query.matches(task)));
        query.before = page.next;
        let is_enough = found.len() >= query.limit || Instant::now() >= deadline;
        if is_enough || page.next.is_none() {
            break;
        }
    }
    // The store was asked for not more than what was missing, so nothing is cut off here.
    let next = query.before.map(|offset| cursor(&state, offset));
    Ok(Json(TaskPage { tasks: found.iter().map(TaskView::from).collect(), next }))
}

struct ListQuery {
    limit: usize,
    /// Only tasks whose newest entry is before this one.
    before: Option<Offset>,
    is_complete: Option<bool>,
    /// Only tasks whose id contains it, whatever the case.
    name: Option<String>,
}

impl ListQuery {
    fn read(state: &AppState, uri: &Uri) -> Result<Self, Problem> {
        let params = Params::read(uri, &[&["limit", "cursor", "state", "name"]])?;
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
        let name = params.text("name")?.filter(|name| !name.is_empty()).map(str::to_lowercase);
        Ok(Self { limit, before, is_complete, name })
    }

    /// What the store is asked for, once `found` tasks are there.
    fn store_query(&self, identity: &Identity, found: usize) -> TaskQuery {
        let (access, name) = (identity.tasks.clone(), self.name.clone());
        let wants = move |task: &TaskId| {
            let has_name = |name: &String| task.as_str().to_lowercase().contains(name);
            access.allows(task) && name.as_ref().is_none_or(has_name)
        };
        TaskQuery {
            before: self.before,
            limit: self.limit - found,
            max_scanned: SCANNED_AT_ONCE,
            filter: Some(Arc::new(wants)),
        }
    }

    fn matches(&self, task: &Task) -> bool {
        let is_complete = task.state == TaskState::Complete;
        self.is_complete.is_none_or(|asked| asked == is_complete)
    }
}

fn cursor(state: &AppState, offset: Offset) -> String {
    EventId { epoch: state.source().log.epoch(), offset }.to_string()
}
