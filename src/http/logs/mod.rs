//! A task's history: a page of JSON, or all of it as NDJSON or text.

mod download;
mod file_name;
mod format;
mod line_reader;
mod missing;
mod page;
mod pieces;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};

use super::app_state::AppState;
use super::auth::identity::Identity;
use super::problem::Problem;
use super::request::filter::{FILTER_PARAMS, read_filter};
use super::request::params::{ParamNames, Params};
use super::request::task_path::TaskPath;
use crate::domain::TaskSummary;
use crate::subscribe::Filter;
use file_name::disposition;
use format::Format;
use line_reader::{LineRange, LineReader};
use page::{Anchor, PageOptions};

const KNOWN: &[ParamNames] =
    &[FILTER_PARAMS, &["afterLine", "beforeLine", "tail", "limit", "format", "download", "gaps"]];

const DEFAULT_PAGE_LINES: u64 = 1000;
const MAX_PAGE_LINES: u64 = 10_000;

/// Lines of one task.
pub(super) async fn history(
    State(state): State<AppState>,
    identity: Identity,
    TaskPath(task): TaskPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    identity.check(&task)?;
    let query = HistoryQuery::read(&uri, &headers)?;
    let log = &state.source().log;
    let summary = log.task(&task).await?.ok_or_else(|| Problem::no_such_task(&task))?;
    let range = query.range(&summary);
    let (filter, first_kept) = (query.filter.clone(), summary.first_line);
    let reader = LineReader::open(log.clone(), task.clone(), range, filter, first_kept).await?;
    let budget = state.reader_budget().clone();
    if query.format == Format::Json {
        return page::response(reader, &summary, query.page_options(), budget).await;
    }
    let body = download::body(reader, query.format, query.tells_gaps, query.limit, budget);
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(query.format.media_type()));
    if query.is_download {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition(&task, query.format));
    }
    Ok(response)
}

struct HistoryQuery {
    filter: Filter,
    after_line: Option<u64>,
    before_line: Option<u64>,
    tail: Option<u64>,
    limit: Option<u64>,
    format: Format,
    is_download: bool,
    tells_gaps: bool,
}

impl HistoryQuery {
    fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let params = Params::read(uri, KNOWN)?;
        let rule = "it must be json, ndjson, text or plain";
        let format = params.parsed("format", rule, Format::named)?;
        let format = format.unwrap_or_else(|| Format::accepted(headers));
        let tells_gaps = params.parsed("gaps", "it must be show or omit", tells_gaps)?;
        let max_limit = if format == Format::Json { MAX_PAGE_LINES } else { u64::MAX };
        Ok(Self {
            filter: read_filter(&params)?,
            after_line: params.number("afterLine", 0..=u64::MAX)?,
            before_line: params.number("beforeLine", 1..=u64::MAX)?,
            tail: params.number("tail", 0..=u64::MAX)?,
            limit: params.number("limit", 1..=max_limit)?,
            format,
            is_download: params.flag("download")?.unwrap_or(false),
            tells_gaps: tells_gaps.unwrap_or(true),
        })
    }

    fn page_lines(&self) -> u64 {
        self.limit.or(self.tail).unwrap_or(DEFAULT_PAGE_LINES).min(MAX_PAGE_LINES)
    }

    fn page_options(&self) -> PageOptions {
        let (anchor, limit) = (self.anchor(), self.page_lines());
        PageOptions { anchor, limit, tells_gaps: self.tells_gaps }
    }

    /// Which end of the range the client asked for.
    fn anchor(&self) -> Anchor {
        let from_end = self.tail.is_some() || self.before_line.is_some();
        if from_end && self.after_line.is_none() { Anchor::End } else { Anchor::Start }
    }

    /// Which lines are examined, kept or not. Where only `beforeLine` is given, those right before it.
    fn range(&self, summary: &TaskSummary) -> LineRange {
        let all_end = summary.last_line + 1;
        let end = self.before_line.map_or(all_end, |line| line.min(all_end));
        let default = (self.format == Format::Json).then(|| self.page_lines());
        let count = match (self.tail, self.after_line, self.before_line) {
            (Some(tail), _, _) => Some(tail),
            (None, None, Some(_)) => self.limit.or(default),
            _ => None,
        };
        let after = self.after_line.map_or(1, |line| line.saturating_add(1));
        let from_end = count.map_or(0, |count| end.saturating_sub(count));
        LineRange { start: after.max(from_end), end }
    }
}

/// Whether `gaps=text` asks for gaps.
fn tells_gaps(text: &str) -> Option<bool> {
    match text {
        "show" => Some(true),
        "omit" => Some(false),
        _ => None,
    }
}
