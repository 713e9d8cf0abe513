//! Whether the process is well.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::app_state::AppState;
use super::problem::Problem;
use crate::domain::now_ms;
use crate::encode::format_ms;
use crate::stats::Snapshot;
use crate::store::WriteState;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    status: &'static str,
    timestamp: String,
    active_connections: usize,
    /// Where producers push.
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_addr: Option<SocketAddr>,
    /// Bytes that readers have not taken, of those that --reader-bytes allows.
    reader_bytes: usize,
    #[serde(flatten)]
    stats: Snapshot,
}

/// The health response of the API: 200 as long as the process can answer at all.
pub(super) async fn health(State(state): State<AppState>) -> Json<Health> {
    let stats = state.stats().snapshot();
    let status = match state.write_state() {
        WriteState::Failed(_) => "unhealthy",
        _ if state.is_draining() => "draining",
        WriteState::Waiting(_) => "waiting",
        WriteState::Ok if stats.store.damaged_places > 0 => "degraded",
        WriteState::Ok => "healthy",
    };
    let timestamp = format_ms(now_ms());
    let active_connections = state.active_viewers();
    let reader_bytes = state.reader_budget().used_bytes();
    let grpc_addr = state.options().grpc_addr;
    Json(Health { status, timestamp, active_connections, grpc_addr, reader_bytes, stats })
}

/// Answers as long as the process runs.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Whether the process takes new work: it is not draining, and its store takes entries.
pub(super) async fn ready(State(state): State<AppState>) -> Response {
    if state.is_draining() {
        return Problem::unavailable("draining", "the server is shutting down").into_response();
    }
    match state.write_state() {
        WriteState::Ok => "ok\n".into_response(),
        WriteState::Waiting(reason) => {
            let detail = format!("the store waits: {reason}");
            Problem::unavailable("store_waiting", detail).into_response()
        }
        WriteState::Failed(reason) => {
            let detail = format!("the store takes no more writes: {reason}");
            Problem::unavailable("store_failed", detail).into_response()
        }
    }
}
