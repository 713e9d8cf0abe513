//! A page of lines as one JSON object.

use std::collections::VecDeque;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::walk::Walk;
use crate::domain::{Entry, TaskSummary};
use crate::encode::write_json;
use crate::http::problem::Problem;

/// A page holds no more bytes, but always a line: lines may be long.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A page ends early after so many looked at: a filter may hide them all.
const MAX_SCANNED_LINES: u64 = 1_000_000;

/// Which lines give way where a page has too many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The last ones; the page after this one has them.
    Start,
    /// The first ones; the page before this one has them.
    End,
}

/// The page under way.
struct Page {
    anchor: Anchor,
    limit: u64,
    /// Line numbers and the lines' JSON.
    lines: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    taken: u64,
    scanned: u64,
    /// The last line looked at.
    last_scanned: u64,
}

impl Page {
    fn new(anchor: Anchor, limit: u64, last_scanned: u64) -> Self {
        let lines = VecDeque::new();
        Self { anchor, limit, lines, bytes: 0, taken: 0, scanned: 0, last_scanned }
    }

    fn is_full(&self) -> bool {
        let is_heavy = self.anchor == Anchor::Start && self.bytes >= MAX_PAGE_BYTES;
        self.taken >= self.limit || self.scanned >= MAX_SCANNED_LINES || is_heavy
    }

    fn push(&mut self, line: u64, entry: &Entry<'_>) {
        let mut json = Vec::with_capacity(entry.body.len() + 64);
        write_json(&mut json, entry);
        self.bytes += json.len();
        self.taken += 1;
        self.lines.push_back((line, json));
        while self.bytes > MAX_PAGE_BYTES && self.anchor == Anchor::End && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |(_, json)| json.len());
        }
    }
}

/// Up to `limit` lines of `walk`.
pub(super) async fn response(
    mut walk: Walk,
    summary: &TaskSummary,
    anchor: Anchor,
    limit: u64,
) -> Result<Response, Problem> {
    let mut page = Page::new(anchor, limit, walk.range.start.saturating_sub(1));
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
        ("firstLine", json!(page.lines.front().map(|(line, _)| line))),
        ("lastLine", json!(page.lines.back().map(|(line, _)| line))),
        ("totalLines", json!(summary.last_line)),
        ("nextAfterLine", json!(next_after_line)),
    ];
    let mut out = Vec::with_capacity(page.bytes + page.lines.len() + 1024);
    out.extend_from_slice(
        format!("{{\"taskId\":{},\"lines\":[", json!(summary.task.as_str())).as_bytes(),
    );
    for (index, (_, json)) in page.lines.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(json);
    }
    out.push(b']');
    for (name, value) in members {
        out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    out.push(b'}');
    out
}
