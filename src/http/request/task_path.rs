//! The task in a path.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::domain::TaskId;
use crate::http::problem::Problem;

/// `{taskId}`, percent-decoded and checked.
pub(in crate::http) struct TaskPath(pub(in crate::http) TaskId);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let Path(text) = found.map_err(|_| {
            Problem::bad_request("invalid_id", "task_id is not percent-encoded UTF-8")
        })?;
        Ok(Self(TaskId::new(&text)?))
    }
}
