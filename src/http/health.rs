//! How the process is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Http;
use super::problem::Problem;
use crate::domain::now_ms;
use crate::encode::format_ms;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    status: &'static str,
    timestamp: String,
    active_connections: usize,
    /// `ok`, or `failed` when it takes no more writes.
    store: &'static str,
}

/// The drop-in health answer: 200 while the process can say anything.
pub(super) async fn health(State(http): State<Http>) -> Json<Health> {
    let store = if http.store_failure().is_some() { "failed" } else { "ok" };
    let status = match store {
        "failed" => "unhealthy",
        _ if http.is_draining() => "draining",
        _ => "healthy",
    };
    let timestamp = format_ms(now_ms());
    Json(Health { status, timestamp, active_connections: http.active_viewers(), store })
}

/// The process runs.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The process does its work: it is not draining, and its store takes writes.
pub(super) async fn ready(State(http): State<Http>) -> Response {
    if http.is_draining() {
        return Problem::unavailable("draining", "the server is shutting down").into_response();
    }
    match http.store_failure() {
        Some(reason) => {
            let detail = format!("the store takes no more writes: {reason}");
            Problem::unavailable("store_failed", detail).into_response()
        }
        None => "ok\n".into_response(),
    }
}
