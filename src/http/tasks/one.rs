//! One task: showing it, deleting it, telling that it is over.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::{StatusCode, Uri};
use serde::Deserialize;

use super::views::{TaskView, WorkerPage, WorkerView};
use super::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::domain::{Outcome, TaskId};
use crate::http::app_state::AppState;
use crate::http::auth::identity::Identity;
use crate::http::problem::Problem;
use crate::http::request::params::Params;
use crate::http::request::task_path::TaskPath;
use crate::store::DeleteError;
use crate::tasks::DeleteTaskError;

/// How long a change is waited for; a store that waits makes it later.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);

/// One task.
pub(in crate::http) async fn one(
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
pub(in crate::http) async fn delete(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    identity.check_deletion(&task)?;
    let deleting = state.source().tasks.delete(&task);
    let deleted = in_time(&task, "is deleted", deleting).await?;
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

/// What a change of `task` comes to, which is waited for only so long.
async fn in_time<T>(
    task: &TaskId,
    what: &str,
    change: impl Future<Output = T>,
) -> Result<T, Problem> {
    let changed = tokio::time::timeout(CHANGE_PATIENCE, change).await;
    changed.map_err(|_| Problem::slow_change(task, what))
}

/// What a producer tells of a task's end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct End {
    /// Without, the workers' last statuses say how it ended.
    #[serde(default)]
    outcome: Option<String>,
}

/// Notes that a task is over, whatever its workers told.
pub(in crate::http) async fn end(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
    body: Result<Json<End>, JsonRejection>,
) -> Result<Json<TaskView>, Problem> {
    Params::read(&uri, &[])?;
    identity.check_push(&task)?;
    let Json(End { outcome }) = body.map_err(|error| Problem::bad_body(&error))?;
    let outcome = outcome.map(|text| text.parse::<Outcome>()).transpose();
    let outcome = outcome.map_err(|error| Problem::bad_request("invalid_outcome", error))?;
    let tasks = &state.source().tasks;
    tasks.get(&task).await?.ok_or_else(|| Problem::no_such_task(&task))?;
    let ending = state.intake().end_task(&task, outcome);
    in_time(&task, "ends", ending).await?.map_err(Problem::not_ended)?;
    let subject = identity.subject.as_deref().unwrap_or("anybody");
    let told = outcome.map_or("none", Outcome::as_str);
    tracing::info!(task = task.as_str(), subject, outcome = told, "the end of a task was told");
    let found = tasks.get(&task).await?.ok_or_else(|| Problem::no_such_task(&task))?;
    Ok(Json(TaskView::from(&found)))
}

/// A page of a task's workers, in the order in which they appeared.
pub(in crate::http) async fn workers(
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
