//! The address of a task's stream.

use reqwest::Url;

use crate::domain::TaskId;

/// Why a task's stream has no address.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// The server's address cannot be used.
    #[error("the address is {0:?}, expected http://host:port or https://host:port")]
    Base(String),
    /// Clients resolve a dot segment before they ask, so it never reaches a server.
    #[error("task_id is {0:?}, which cannot be part of a URL's path")]
    DotSegment(String),
}

/// The address of `task`'s stream on the server at `base`.
///
/// # Errors
/// When `base` is not an HTTP address, or `task` is `.` or `..`.
pub fn task_stream_url(base: &str, task: &TaskId) -> Result<Url, UrlError> {
    task_url(base, &["api", "v1", "log-streaming", "stream"], task)
}

/// The address of `task`'s page in the viewer at `base`.
///
/// # Errors
/// As [`task_stream_url`].
pub fn task_page_url(base: &str, task: &TaskId) -> Result<Url, UrlError> {
    task_url(base, &["tasks"], task)
}

pub(super) fn task_url(base: &str, before: &[&str], task: &TaskId) -> Result<Url, UrlError> {
    if matches!(task.as_str(), "." | "..") {
        return Err(UrlError::DotSegment(task.to_string()));
    }
    let bad_base = || UrlError::Base(base.to_owned());
    let mut url = Url::parse(base).map_err(|_| bad_base())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    let mut segments = url.path_segments_mut().map_err(|()| bad_base())?;
    if !is_http {
        drop(segments);
        return Err(bad_base());
    }
    segments.pop_if_empty().extend(before.iter().copied().chain([task.as_str()]));
    drop(segments);
    Ok(url)
}
