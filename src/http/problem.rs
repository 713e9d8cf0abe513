//! What a client is told when a request fails (RFC 9457).

use std::fmt::Display;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::domain::{IdError, TaskId};
use crate::store::ReadError;

/// When to come back to a server that is full or shutting down, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Characters of a refused value that are shown back.
const SHOWN_VALUE_CHARS: usize = 64;

/// A response that is not a success. Holds nothing that the client may not see.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// A word for machines.
    pub(super) code: &'static str,
    /// A sentence for people.
    pub(super) detail: String,
    /// Set for a query parameter.
    parameter: Option<Box<Parameter>>,
    challenge: Option<&'static str>,
}

/// The parameter that is wrong, and those that the route takes.
#[derive(Debug, Clone, Serialize)]
struct Parameter {
    parameter: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    known: Vec<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(flatten)]
    parameter: Option<&'a Parameter>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Display) -> Self {
        Self { status, code, detail: detail.to_string(), parameter: None, challenge: None }
    }

    /// A request that breaks a rule.
    pub(super) fn bad_request(code: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// A parameter that does not exist. Its value may be anything, so it is not shown.
    pub(super) fn unknown_parameter(name: &str, known: Vec<&'static str>) -> Self {
        let name = shorten(name);
        let detail = format!("{name:?} is not a parameter here, known are: {}", known.join(", "));
        let parameter = Parameter { parameter: name, value: None, known };
        Self::bad_request("unknown_parameter", detail).about(parameter)
    }

    /// A parameter whose value breaks `rule`.
    pub(super) fn bad_parameter(
        name: &str,
        value: &str,
        rule: impl Display,
        known: Vec<&'static str>,
    ) -> Self {
        let value = shorten(value);
        let known_names = known.join(", ");
        let detail = format!("{name} is {value:?}, {rule}; known parameters: {known_names}");
        let parameter = Parameter { parameter: name.into(), value: Some(value), known };
        Self::bad_request("invalid_parameter", detail).about(parameter)
    }

    fn about(mut self, parameter: Parameter) -> Self {
        self.parameter = Some(Box::new(parameter));
        self
    }

    /// A single-use sign-in code that does not work.
    pub(super) fn bad_login_code() -> Self {
        let detail = "this sign-in link was used before or is older than ten minutes: a link works \
                      once. Ask for a new one, or sign in with a token";
        Self::unauthorized("unauthorized", detail, "Bearer")
    }

    /// What a page says above the problem's detail.
    pub(super) fn page_title(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "Not signed in",
            StatusCode::NOT_FOUND => "There is no such page",
            status => status.canonical_reason().unwrap_or("Something went wrong"),
        }
    }

    /// A path that is not below `base`.
    pub(super) fn outside(path: &str, base: &str) -> Self {
        let detail =
            format!("there is nothing at {:?}, the server answers below {base}", shorten(path));
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A request whose sender is unknown; `challenge` says which credentials are accepted.
    pub(super) fn unauthorized(
        code: &'static str,
        detail: impl Display,
        challenge: &'static str,
    ) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, code, detail);
        Self { challenge: Some(challenge), ..problem }
    }

    /// A task that the token does not name.
    pub(super) fn forbidden(task: &TaskId) -> Self {
        let detail = format!("the token does not name task {:?}", task.as_str());
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A token that deletes nothing.
    pub(super) fn may_not_delete() -> Self {
        let detail = "the token does not allow deleting tasks: its claim delete must be true";
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A token that tells no ends.
    pub(super) fn may_not_push() -> Self {
        let detail = "the token does not allow ending tasks: its claim push must be true";
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A page of another origin.
    pub(super) fn foreign_origin(origin: &str) -> Self {
        let origin = shorten(origin);
        let detail =
            format!("the page's origin is {origin:?}, it must be this server's or --frontend-url");
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
    }

    /// A token that names tasks, where the answer tells of all.
    pub(super) fn needs_all_tasks() -> Self {
        let detail =
            "the token names tasks, and the metrics tell of all: it must have no claim tasks";
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A mistake of this program.
    pub(super) fn internal(error: impl Display) -> Self {
        tracing::error!(%error, "a request cannot be answered");
        let detail = "the request cannot be answered because of a mistake in this program";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A body that is not the JSON that the route takes.
    pub(super) fn bad_body(error: &JsonRejection) -> Self {
        Self::new(error.status(), "invalid_body", error.body_text())
    }

    /// A told end that the store does not keep.
    pub(super) fn not_ended(error: impl Display) -> Self {
        tracing::error!(%error, "the end of a task is not kept");
        Self::unavailable("not_ended", "the store takes no entries now")
    }

    /// A task that is not complete, so it cannot be deleted.
    pub(super) fn running(task: &TaskId) -> Self {
        let detail = format!("task {:?} is running, only a complete one is deleted", task.as_str());
        Self::new(StatusCode::CONFLICT, "running", detail)
    }

    /// A change of a task that waits for the store; `what` becomes of it.
    pub(super) fn slow_change(task: &TaskId, what: &str) -> Self {
        let detail = format!("the store waits; task {:?} {what} once it goes on", task.as_str());
        Self::unavailable("store_waiting", detail)
    }

    /// A deletion that the store does not make.
    pub(super) fn not_deleted(error: impl Display) -> Self {
        tracing::error!(%error, "a task is not deleted");
        Self::unavailable("not_deleted", "the store takes no deletions now")
    }

    /// A task that has no log.
    pub(super) fn no_such_task(task: &TaskId) -> Self {
        let detail = format!("task {:?} has no log here", task.as_str());
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A path without a route.
    pub(super) fn no_such_route(path: &str) -> Self {
        let detail = format!("there is nothing at {:?}", shorten(path));
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A method that the route does not have.
    pub(super) fn no_such_method(method: &str, path: &str) -> Self {
        let (method, path) = (shorten(method), shorten(path));
        let detail = format!("{path:?} does not take {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// One viewer more than may be connected.
    pub(super) fn too_many_viewers(limit: usize) -> Self {
        let detail = format!("{limit} viewers are connected, which is the limit");
        Self::unavailable("too_many_viewers", detail)
    }

    /// A state of the server that will pass.
    pub(super) fn unavailable(code: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_retryable(&self) -> bool {
        self.status.is_server_error()
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "a reader's request failed");
        let detail = "the log cannot be read now";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "read_failed", detail)
    }
}

impl From<IdError> for Problem {
    fn from(error: IdError) -> Self {
        Self::bad_request("invalid_id", error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            parameter: self.parameter.as_deref(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        // For `sse::refusals_as_events`, which sends it as an event instead.
        response.extensions_mut().insert(self);
        response
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
