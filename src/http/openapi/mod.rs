//! The description of every route, for people (`/docs`) and programs (`/openapi.json`).
//!
//! It is written by hand and held against the routes by a test, down to their parameters.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// OpenAPI 3.1; the version is filled in.
const DOCUMENT: &str = include_str!("openapi.json");

const VERSION: &str = "\"version\": \"0.0.0\"";

/// The document.
pub(super) async fn document() -> Response {
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (headers, DOCUMENT.replace(VERSION, &version)).into_response()
}
