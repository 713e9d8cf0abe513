//! Opening a stream: reads from a request what its viewer gets, and where it begins.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};

use super::app_state::AppState;
use super::auth::identity::Identity;
use super::problem::Problem;
use super::request::filter::{FILTER_PARAMS, read_filter};
use super::request::params::{ParamNames, Params};
use super::request::task_path::TaskPath;
use super::sse;
use super::sse::viewer::{Viewer, ViewerLog, ViewerOptions};
use super::viewer_permits::Transport;
use crate::domain::{EventId, Scope};
use crate::subscribe::{Filter, ReaderSession, Start};

/// Where a stream begins and ends.
pub(super) const RANGE_PARAMS: ParamNames = &["from", "tail", "follow", "lastEventId"];

const KNOWN: &[ParamNames] = &[FILTER_PARAMS, RANGE_PARAMS, &["errors"]];

const LAST_EVENT_ID: &str = "last-event-id";

/// The stream of all tasks, or of those that the token names.
pub(super) async fn all_tasks(
    State(state): State<AppState>,
    identity: Identity,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    open(&state, identity, Scope::All, StreamQuery::read(&Scope::All, &uri, &headers)?).await
}

/// One task's stream. That of a task without entries opens and waits for the first.
pub(super) async fn one_task(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    identity.check(&task)?;
    let scope = Scope::Task(task);
    let query = StreamQuery::read(&scope, &uri, &headers)?;
    open(&state, identity, scope, query).await
}

async fn open(
    state: &AppState,
    identity: Identity,
    scope: Scope,
    query: StreamQuery,
) -> Result<Response, Problem> {
    let is_resumed = query.is_resumed;
    let viewer = open_viewer(state, &identity, scope, query, Transport::Sse).await?;
    if is_resumed && viewer.has_nothing_more().await? {
        // The only response that keeps an EventSource from reconnecting.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(sse::response(viewer.into_body()))
}

/// A viewer of what `query` asks for.
pub(super) async fn open_viewer(
    state: &AppState,
    identity: &Identity,
    scope: Scope,
    query: StreamQuery,
    transport: Transport,
) -> Result<Viewer, Problem> {
    let permit = state.viewer_permits().acquire(transport)?;
    let (subject, task) = (identity.subject.clone(), scope.clone());
    let log = ViewerLog::new(state.viewer_log(), transport.name(), subject, task);
    let source = state.viewer_source();
    let epoch = source.log.epoch();
    let session = ReaderSession::open(source, scope, query.start, query.follow).await?;
    Ok(Viewer::open(ViewerOptions {
        session,
        epoch,
        filter: query.filter,
        send_position: matches!(query.start, Start::Now | Start::Tail(_)),
        heartbeat: state.options().heartbeat,
        expires_in: identity.time_left(),
        access: identity.tasks.clone(),
        drain: state.drain().clone(),
        budget: state.reader_budget().clone(),
        permit,
        log,
    }))
}

/// What of a scope somebody wants to see.
pub(super) struct StreamQuery {
    filter: Filter,
    start: Start,
    follow: bool,
    /// Whether the viewer resumes a stream that it read before.
    is_resumed: bool,
}

impl StreamQuery {
    fn read(scope: &Scope, uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let params = Params::read(uri, KNOWN)?;
        sse::check_errors_parameter(&params)?;
        let last_id = match header_id(headers)? {
            None => query_id(&params)?,
            id => id,
        };
        Self::of_params(scope, &params, last_id)
    }

    /// The same without a header.
    pub(super) fn read_params(scope: &Scope, params: &Params) -> Result<Self, Problem> {
        Self::of_params(scope, params, query_id(params)?)
    }

    fn of_params(
        scope: &Scope,
        params: &Params,
        last_id: Option<EventId>,
    ) -> Result<Self, Problem> {
        let filter = read_filter(params)?;
        let start = start(params)?;
        let follow = params.flag("follow")?.unwrap_or(true);
        let default = match scope {
            Scope::All => Start::Now,
            Scope::Task(_) => Start::Beginning,
        };
        let start = last_id.map(Start::After).or(start).unwrap_or(default);
        Ok(Self { filter, start, follow, is_resumed: last_id.is_some() })
    }
}

fn start(params: &Params) -> Result<Option<Start>, Problem> {
    let rule = "it must be start, now or an event id such as 1f2e3d4c-1207";
    let from = params.parsed("from", rule, |text| match text {
        "start" => Some(Start::Beginning),
        "now" => Some(Start::Now),
        id => id.parse().ok().map(Start::After),
    })?;
    let tail = params.number("tail", 0..=u64::MAX)?.map(Start::Tail);
    if from.is_some() && tail.is_some() {
        let value = params.text("tail")?.unwrap_or_default();
        return Err(params.refuse("tail", value, "but from is given too"));
    }
    Ok(from.or(tail))
}

/// The id that a browser sends when it reconnects; an empty header counts as absent.
fn header_id(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    if value.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    let refusal =
        |error| Problem::bad_request("invalid_last_event_id", format!("Last-Event-ID: {error}"));
    text.parse().map(Some).map_err(refusal)
}

fn query_id(params: &Params) -> Result<Option<EventId>, Problem> {
    let rule = "it must be an event id such as 1f2e3d4c-1207";
    params.parsed("lastEventId", rule, |text| text.parse().ok())
}
