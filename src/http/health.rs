//! How the process is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::AppState;
use super::problem::Problem;
use crate::domain::now_ms;
use crate::encode::format_ms;
use crate::stats::Snapshot;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    status: &'static str,
    timestamp: String,
    active_connections: usize,
    #[serde(flatten)]
    stats: Snapshot,
}

/// The drop-in health answer: 200 while the process can say anything.
pub(super) async fn health(State(http): State<AppState>) -> Json<Health> {
    let status = match http.store_failure() {
        Some(_) => "unhealthy",
        None if http.is_draining() => "draining",
        None => "healthy",
    };
    let timestamp = format_ms(now_ms());
    let active_connections = http.active_viewers();
    Json(Health { status, timestamp, active_connections, stats: http.stats().snapshot() })
}

/// The process runs.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The process does its work: it is not draining, and its store takes writes.
pub(super) async fn ready(State(http): State<AppState>) -> Response {
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
