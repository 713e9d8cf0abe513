//! ViewerOptions a stream: which session a request asks for.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};

use super::AppState;
use super::auth::Identity;
use super::params::Params;
use super::path::TaskPath;
use super::problem::Problem;
use super::sse::{self, Viewer, ViewerOptions};
use crate::domain::EventId;
use crate::domain::Scope;
use crate::subscribe::{Filter, ReaderSession, Start};

const KNOWN: &[&str] = &[
    "level",
    "source",
    "keywords",
    "workerId",
    "since",
    "until",
    "from",
    "tail",
    "follow",
    "lastEventId",
    "errors",
];

const LAST_EVENT_ID: &str = "last-event-id";

/// Every task's stream; of a narrowed token, that of its tasks.
pub(super) async fn all_tasks(
    State(http): State<AppState>,
    identity: Identity,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    open(&http, identity, Scope::All, Query::read(&Scope::All, &uri, &headers)?).await
}

/// One task's stream. One not seen yet opens and waits.
pub(super) async fn one_task(
    State(http): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    identity.check(&task)?;
    let scope = Scope::Task(task);
    let query = Query::read(&scope, &uri, &headers)?;
    open(&http, identity, scope, query).await
}

async fn open(
    http: &AppState,
    identity: Identity,
    scope: Scope,
    query: Query,
) -> Result<Response, Problem> {
    let permit = http.0.viewer_permits.take()?;
    let source = http.viewer_source();
    let epoch = source.log.epoch();
    let session = ReaderSession::open(source, scope, query.start, query.follow).await?;
    if query.is_resumed && session.finished().is_some() {
        // The one answer that stops an EventSource for good.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let viewer = Viewer::open(ViewerOptions {
        session,
        epoch,
        filter: query.filter,
        tell_position: matches!(query.start, Start::Now | Start::Tail(_)),
        heartbeat: http.options().heartbeat,
        expires_in: identity.time_left(),
        access: identity.tasks,
        drain: http.0.drain.clone(),
        permit,
    });
    Ok(sse::response(viewer.into_body()))
}

struct Query {
    filter: Filter,
    start: Start,
    follow: bool,
    /// Whether the viewer was here before.
    is_resumed: bool,
}

impl Query {
    fn read(scope: &Scope, uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let params = Params::read(uri, KNOWN)?;
        sse::check_errors_parameter(&params)?;
        let filter = params.filter()?;
        let asked = start(&params)?;
        let follow = params.flag("follow")?.unwrap_or(true);
        let last_id = match header_id(headers)? {
            None => query_id(&params)?,
            id => id,
        };
        let default = match scope {
            Scope::All => Start::Now,
            Scope::Task(_) => Start::Beginning,
        };
        let start = last_id.map(Start::After).or(asked).unwrap_or(default);
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

/// The id that a browser sends by itself; empty means none.
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
    if params.text("lastEventId")?.is_some_and(str::is_empty) {
        return Ok(None);
    }
    let rule = "it must be an event id such as 1f2e3d4c-1207";
    params.parsed("lastEventId", rule, |text| text.parse().ok())
}
