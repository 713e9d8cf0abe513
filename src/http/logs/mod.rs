//! A task's history: a page of JSON, or all of it as NDJSON or text.

mod download;
mod page;
mod walk;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};

use super::AppState;
use super::auth::Identity;
use super::params::Params;
use super::path::TaskPath;
use super::problem::Problem;
use crate::domain::{TaskId, TaskSummary};
use crate::subscribe::Filter;
use page::Anchor;
use walk::{Range, Walk};

const KNOWN: &[&str] = &[
    "level",
    "source",
    "keywords",
    "workerId",
    "since",
    "until",
    "afterLine",
    "beforeLine",
    "tail",
    "limit",
    "format",
    "download",
];

const DEFAULT_PAGE_LINES: u64 = 1000;
const MAX_PAGE_LINES: u64 = 10_000;

/// The longest name, before its extension, that a download is given, in bytes.
const MAX_FILE_NAME_BYTES: usize = 100;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
    Text,
}

/// Lines of one task.
pub(super) async fn history(
    State(http): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    identity.check(&task)?;
    let query = Query::read(&uri, &headers)?;
    let log = &http.source().log;
    let summary = log.task(&task).ok_or_else(|| Problem::no_such_task(&task))?;
    let range = query.range(&summary);
    let walk = Walk::open(log.clone(), task.clone(), range, query.filter.clone()).await?;
    if query.format == Format::Json {
        return page::response(walk, &summary, query.anchor(), query.page_lines()).await;
    }
    let mut response = download::body(walk, query.format, query.limit).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(query.format.media_type()));
    if query.is_download {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition(&task, query.format)?);
    }
    Ok(response)
}

struct Query {
    filter: Filter,
    after_line: Option<u64>,
    before_line: Option<u64>,
    tail: Option<u64>,
    limit: Option<u64>,
    format: Format,
    is_download: bool,
}

impl Query {
    fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let params = Params::read(uri, KNOWN)?;
        let format = params.parsed("format", "it must be json, ndjson or text", Format::named)?;
        let format = format.unwrap_or_else(|| Format::accepted(headers));
        let max_limit = if format == Format::Json { MAX_PAGE_LINES } else { u64::MAX };
        Ok(Self {
            filter: params.filter()?,
            after_line: params.number("afterLine", 0..=u64::MAX)?,
            before_line: params.number("beforeLine", 1..=u64::MAX)?,
            tail: params.number("tail", 0..=u64::MAX)?,
            limit: params.number("limit", 1..=max_limit)?,
            format,
            is_download: params.flag("download")?.unwrap_or(false),
        })
    }

    fn page_lines(&self) -> u64 {
        self.limit.or(self.tail).unwrap_or(DEFAULT_PAGE_LINES).min(MAX_PAGE_LINES)
    }

    /// The end that the client looks from.
    fn anchor(&self) -> Anchor {
        let from_end = self.tail.is_some() || self.before_line.is_some();
        if from_end && self.after_line.is_none() { Anchor::End } else { Anchor::Start }
    }

    /// Which lines are looked at. Where only `beforeLine` is given, those right before it.
    fn range(&self, summary: &TaskSummary) -> Range {
        let all = summary.first_line..summary.last_line + 1;
        let end = self.before_line.map_or(all.end, |line| line.min(all.end));
        let default = (self.format == Format::Json).then(|| self.page_lines());
        let count = match (self.tail, self.after_line, self.before_line) {
            (Some(tail), _, _) => Some(tail),
            (None, None, Some(_)) => self.limit.or(default),
            _ => None,
        };
        let after = self.after_line.map_or(0, |line| line.saturating_add(1));
        let from_end = count.map_or(0, |count| end.saturating_sub(count));
        Range { start: all.start.max(after).max(from_end), end }
    }
}

impl Format {
    fn named(text: &str) -> Option<Self> {
        Some(match text {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "text" => Self::Text,
            _ => return None,
        })
    }

    /// The best of what the client accepts; JSON when it names none of them.
    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (Self::Json, 0.0);
        for (format, weight) in accept.split(',').filter_map(Self::weighed) {
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// RFC 9110 §12.5.1: a media range and its weight.
    fn weighed(item: &str) -> Option<(Self, f32)> {
        let mut parts = item.split(';').map(str::trim);
        let format = match parts.next()?.to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Self::Json,
            "application/x-ndjson" | "application/ndjson" => Self::Ndjson,
            "text/plain" | "text/*" => Self::Text,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        Some((format, weight.map_or(Some(1.0), |weight| weight.parse().ok())?))
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Text => "log",
        }
    }
}

/// A name that is one everywhere: no separators, no leading dot, ASCII.
fn disposition(task: &TaskId, format: Format) -> Result<HeaderValue, Problem> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe = task.as_str().chars().map(|c| if is_safe(c) { c } else { '_' });
    let name: String = safe.take(MAX_FILE_NAME_BYTES).collect();
    let name = name.trim_start_matches('.');
    let value = format!("attachment; filename=\"{name}.{}\"", format.extension());
    HeaderValue::from_str(&value).map_err(|error| Problem::bad_request("invalid_id", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Format {
        Format::accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
    }

    #[test]
    fn the_best_accepted_format_is_taken_and_json_otherwise() {
        assert_eq!(accepted("text/plain"), Format::Text);
        assert_eq!(accepted("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Json);
        assert_eq!(accepted("text/plain;q=0.5, application/x-ndjson"), Format::Ndjson);
        assert_eq!(accepted("image/png"), Format::Json);
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
    }

    #[test]
    fn a_files_name_is_safe_whatever_the_task_is_called() {
        let name = |task| {
            let value = disposition(&TaskId::new(task).unwrap(), Format::Text).unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(name("build-7"), "attachment; filename=\"build-7.log\"");
        assert_eq!(name("../a\"b/ü"), "attachment; filename=\"_a_b__.log\"");
    }
}
