//! The addresses of a server's tasks.

use reqwest::Url;

use crate::domain::TaskId;

/// The path of the API, by segments.
const API: [&str; 3] = ["api", "v1", "log-streaming"];

/// The parameter that says which texts lines are to contain.
const KEYWORDS: &str = "keywords";

/// Why a task has no address.
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
    of_task(base, &[&API[..], &["stream"]].concat(), task)
}

/// The address of `task`'s page in the viewer at `base`.
///
/// # Errors
/// As [`task_stream_url`].
pub fn task_page_url(base: &str, task: &TaskId) -> Result<Url, UrlError> {
    of_task(base, &["tasks"], task)
}

/// The address of what the server at `base` tells of `task`.
///
/// # Errors
/// As [`task_stream_url`].
pub fn task_url(base: &str, task: &TaskId) -> Result<Url, UrlError> {
    of_task(base, &[&API[..], &["tasks"]].concat(), task)
}

/// The address of the list of tasks on the server at `base`.
///
/// # Errors
/// When `base` is not an HTTP address.
pub fn list_url(base: &str) -> Result<Url, UrlError> {
    address(base, [&API[..], &["tasks"]].concat())
}

/// Asks `url` for lines that contain one of `keywords`, each a parameter of its own: one that has a
/// comma is not split.
pub fn append_keywords(url: &mut Url, keywords: &[&str]) {
    let mut pairs = url.query_pairs_mut();
    pairs.extend_pairs(keywords.iter().map(|keyword| (KEYWORDS, keyword)));
    // The value of a single parameter is split at its commas.
    if keywords.len() == 1 && keywords[0].contains(',') {
        pairs.append_pair(KEYWORDS, "");
    }
}

fn of_task(base: &str, before: &[&str], task: &TaskId) -> Result<Url, UrlError> {
    if matches!(task.as_str(), "." | "..") {
        return Err(UrlError::DotSegment(task.to_string()));
    }
    address(base, [before, &[task.as_str()]].concat())
}

fn address(base: &str, path: Vec<&str>) -> Result<Url, UrlError> {
    let bad_base = || UrlError::Base(base.to_owned());
    let mut url = Url::parse(base).map_err(|_| bad_base())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    let mut segments = url.path_segments_mut().map_err(|()| bad_base())?;
    if !is_http {
        drop(segments);
        return Err(bad_base());
    }
    segments.pop_if_empty().extend(path);
    drop(segments);
    Ok(url)
}
