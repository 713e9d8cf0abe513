//! Whether there is a task.

use std::time::Duration;

use reqwest::StatusCode;

use super::url::task_url;
use crate::domain::TaskId;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the server at `base` has `task`; `None` where it does not say.
pub async fn is_task_known(base: &str, task: &TaskId, token: Option<&str>) -> Option<bool> {
    let url = task_url(base, &["api", "v1", "log-streaming", "tasks"], task).ok()?;
    let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    match request.send().await.ok()?.status() {
        StatusCode::NOT_FOUND => Some(false),
        status if status.is_success() => Some(true),
        _ => None,
    }
}
