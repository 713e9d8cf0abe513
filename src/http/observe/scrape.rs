//! `GET /metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::http::app_state::AppState;
use crate::http::auth::identity::Identity;
use crate::http::problem::Problem;
use crate::metrics::MetricsFormat;

/// The metrics, for whoever may read every task: they tell of all.
pub(in crate::http) async fn for_token(
    State(state): State<AppState>,
    identity: Identity,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    identity.check_all()?;
    metrics(&state, &headers)
}

/// The metrics, on a port of their own.
pub(in crate::http) async fn for_everyone(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    metrics(&state, &headers)
}

fn metrics(state: &AppState, headers: &HeaderMap) -> Result<Response, Problem> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = MetricsFormat::asked_for(accept);
    let text = state.metrics().write(format).map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, format.content_type())], text).into_response())
}
