//! Server-sent events (WHATWG HTML, "Server-sent events").
//!
//! [`frames`] writes events as bytes, [`viewer`] is the body that yields them.

mod frames;
pub(super) mod viewer;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;
use super::request::params::Params;

/// A response that streams events.
pub(super) fn response(body: impl IntoResponse) -> Response {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // A proxy that compresses holds frames back until it has enough of them (RFC 9111 §5.2.2.6).
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Otherwise nginx buffers frames before it passes them on.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let mut response = body.into_response();
    response.headers_mut().extend(headers);
    response
}

/// With `errors=events`, sends a refusal as an event: an EventSource shows a page's script nothing
/// else of a response.
pub(super) async fn refusals_as_events(request: Request, next: Next) -> Response {
    let wants_events = request.uri().query().is_some_and(asks_for_events);
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) if wants_events => {
            let mut event = self::response(refusal(problem));
            // Still to be counted.
            event.extensions_mut().insert(problem.clone());
            event
        }
        _ => response,
    }
}

fn asks_for_events(query: &str) -> bool {
    query.split('&').any(|pair| pair == "errors=events")
}

fn refusal(problem: &Problem) -> Vec<u8> {
    let mut out = frames::retry();
    out.extend(frames::error(problem.code, &problem.detail, problem.is_retryable()));
    out
}

/// Checks `errors`, which [`refusals_as_events`] looks at before anything is checked.
pub(super) fn check_errors_parameter(params: &Params) -> Result<(), Problem> {
    let is_known = |text: &str| matches!(text, "events" | "status").then_some(());
    params.parsed("errors", "it must be events or status", is_known).map(drop)
}
