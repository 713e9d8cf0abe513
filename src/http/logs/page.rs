//! A page of lines as one JSON object.

use std::collections::VecDeque;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::line_reader::LineReader;
use crate::domain::{Entry, TaskSummary};
use crate::encode::write_json;
use crate::http::problem::Problem;

/// A page holds no more bytes than this, but at least one line, however long.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A page ends early after so many lines were examined: a filter may hide them all.
const MAX_SCANNED_LINES: u64 = 1_000_000;

/// Which end of the range a page is cut to where it would have too many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The first lines stay; the next page has the others.
    Start,
    /// The last lines stay; the page before has the others.
    End,
}

/// A line of the page.
struct PageLine {
    number: u64,
    json: Vec<u8>,
}

/// The page while it is put together.
struct LinePage {
    anchor: Anchor,
    limit: u64,
    lines: VecDeque<PageLine>,
    bytes: usize,
    taken: u64,
    scanned: u64,
    /// The last line examined.
    last_scanned: u64,
}

impl LinePage {
    fn new(anchor: Anchor, limit: u64, last_scanned: u64) -> Self {
        let lines = VecDeque::new();
        Self { anchor, limit, lines, bytes: 0, taken: 0, scanned: 0, last_scanned }
    }

    fn is_full(&self) -> bool {
        let is_heavy = self.anchor == Anchor::Start && self.bytes >= MAX_PAGE_BYTES;
        self.taken >= self.limit || self.scanned >= MAX_SCANNED_LINES || is_heavy
    }

    fn push(&mut self, number: u64, entry: &Entry<'_>) {
        let mut json = Vec::with_capacity(entry.body.len() + 64);
        write_json(&mut json, entry);
        self.bytes += json.len();
        self.taken += 1;
        self.lines.push_back(PageLine { number, json });
        while self.bytes > MAX_PAGE_BYTES && self.anchor == Anchor::End && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.json.len());
        }
    }
}

/// Up to `limit` of the lines that `reader` reads.
pub(super) async fn response(
    mut reader: LineReader,
    summary: &TaskSummary,
    anchor: Anchor,
    limit: u64,
) -> Result<Response, Problem> {
    let mut page = LinePage::new(anchor, limit, reader.range.start.saturating_sub(1));
    while !page.is_full()
        && let Some(block) = reader.next().await?
    {
        for entry in block.entries() {
            let Some(line) = reader.line(&entry) else { continue };
            if page.is_full() {
                break;
            }
            page.scanned += 1;
            page.last_scanned = line;
            if reader.filter.matches(&entry) {
                page.push(line, &entry);
            }
        }
    }
    Ok(([(CONTENT_TYPE, "application/json")], write(&page, &reader, summary)).into_response())
}

fn write(page: &LinePage, reader: &LineReader, summary: &TaskSummary) -> Vec<u8> {
    let has_more = page.is_full() && page.last_scanned + 1 < reader.range.end;
    let next_after_line = has_more.then_some(page.last_scanned);
    let members = [
        ("firstLine", json!(page.lines.front().map(|line| line.number))),
        ("lastLine", json!(page.lines.back().map(|line| line.number))),
        ("totalLines", json!(summary.last_line)),
        ("nextAfterLine", json!(next_after_line)),
    ];
    let mut out = Vec::with_capacity(page.bytes + page.lines.len() + 1024);
    out.extend_from_slice(
        format!("{{\"taskId\":{},\"lines\":[", json!(summary.task.as_str())).as_bytes(),
    );
    for (index, line) in page.lines.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&line.json);
    }
    out.push(b']');
    for (name, value) in members {
        out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    out.push(b'}');
    out
}
