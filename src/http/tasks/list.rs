//! The list of tasks, by page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use super::views::TaskView;
use super::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::domain::{EventId, Offset, Outcome, TaskId};
use crate::http::app_state::AppState;
use crate::http::auth::identity::Identity;
use crate::http::problem::Problem;
use crate::http::request::params::Params;
use crate::store::TaskQuery;
use crate::tasks::Task;

/// How many tasks are looked at in one piece, and how long a page is searched for: a filter may hide
/// any number. A page that is not full then has a `nextCursor` all the same.
const SCANNED_AT_ONCE: usize = 20_000;
const SEARCH_TIME: Duration = Duration::from_millis(250);

#[derive(Serialize)]
pub(in crate::http) struct TaskPage {
    tasks: Vec<TaskView>,
    /// The `cursor` of the next page.
    #[serde(rename = "nextCursor")]
    next_cursor: Option<String>,
    /// The same under its older name.
    next: Option<String>,
}

/// A page of tasks, the one with the newest entry first.
pub(in crate::http) async fn list(
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
    let next_cursor = query.before.map(|offset| cursor(&state, offset));
    let (tasks, next) = (found.iter().map(TaskView::from).collect(), next_cursor.clone());
    Ok(Json(TaskPage { tasks, next_cursor, next }))
}

struct ListQuery {
    limit: usize,
    /// Only tasks whose newest entry is before this one.
    before: Option<Offset>,
    is_complete: Option<bool>,
    outcome: Option<Outcome>,
    /// Only tasks whose id contains it, whatever the case.
    name: Option<String>,
}

impl ListQuery {
    fn read(state: &AppState, uri: &Uri) -> Result<Self, Problem> {
        let params = Params::read(uri, &[&["limit", "cursor", "state", "outcome", "name"]])?;
        let limit = params.number("limit", 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
        let epoch = state.source().log.epoch();
        let before =
            params.parsed("cursor", "it must be the nextCursor of a page before", |text| {
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
        let rule = "it must be succeeded, failed, terminated, lost or unknown";
        let outcome = params.parsed("outcome", rule, |text| text.parse().ok())?;
        let name = params.text("name")?.filter(|name| !name.is_empty()).map(str::to_lowercase);
        Ok(Self { limit, before, is_complete, outcome, name })
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
        let has_outcome = self.outcome.is_none_or(|asked| task.outcome() == Some(asked));
        has_outcome && self.is_complete.is_none_or(|asked| asked == task.is_complete())
    }
}

fn cursor(state: &AppState, offset: Offset) -> String {
    EventId { epoch: state.source().log.epoch(), offset }.to_string()
}
