//! A page of lines as one JSON object.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::walk::Walk;
use crate::domain::{Entry, TaskSummary};
use crate::http::problem::Problem;

/// A page ends early at so many bytes: lines may be long.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A page ends early after so many looked at: a filter may hide them all.
const MAX_SCANNED_LINES: u64 = 1_000_000;

/// The page under way.
struct Page {
    /// The entries, separated by commas.
    json: Vec<u8>,
    count: u64,
    first_line: Option<u64>,
    last_line: Option<u64>,
    scanned: u64,
    /// The last line looked at.
    last_scanned: u64,
    limit: u64,
}

impl Page {
    fn is_full(&self) -> bool {
        self.count >= self.limit
            || self.json.len() >= MAX_PAGE_BYTES
            || self.scanned >= MAX_SCANNED_LINES
    }

    fn push(&mut self, line: u64, entry: &Entry<'_>) {
        if self.count > 0 {
            self.json.push(b',');
        }
        entry.write_json(&mut self.json);
        self.count += 1;
        self.first_line.get_or_insert(line);
        self.last_line = Some(line);
    }
}

/// Up to `limit` lines of `walk`.
pub(super) async fn response(
    mut walk: Walk,
    summary: &TaskSummary,
    limit: u64,
) -> Result<Response, Problem> {
    let last_scanned = walk.range.start.saturating_sub(1);
    let mut page = Page {
        json: Vec::new(),
        count: 0,
        first_line: None,
        last_line: None,
        scanned: 0,
        last_scanned,
        limit,
    };
    while !page.is_full()
        && let Some(block) = walk.next().await?
    {
        for entry in block.entries() {
            let Some(line) = walk.line(&entry) else { continue };
            if page.is_full() {
                break;
            }
            page.scanned += 1;
            page.last_scanned = line;
            if walk.filter.matches(&entry) {
                page.push(line, &entry);
            }
        }
    }
    Ok(([(CONTENT_TYPE, "application/json")], write(&page, &walk, summary)).into_response())
}

fn write(page: &Page, walk: &Walk, summary: &TaskSummary) -> Vec<u8> {
    let has_more = page.is_full() && page.last_scanned + 1 < walk.range.end;
    let next_after_line = has_more.then_some(page.last_scanned);
    let members = [
        ("firstLine", json!(page.first_line)),
        ("lastLine", json!(page.last_line)),
        ("totalLines", json!(summary.last_line)),
        ("nextAfterLine", json!(next_after_line)),
    ];
    let mut out = format!("{{\"taskId\":{},\"lines\":[", json!(summary.task.as_str())).into_bytes();
    out.extend_from_slice(&page.json);
    out.push(b']');
    for (name, value) in members {
        out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    out.push(b'}');
    out
}
