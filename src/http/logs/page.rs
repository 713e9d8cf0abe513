//! A page of lines as one JSON object, written while it is sent.

use std::collections::VecDeque;
use std::io;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::download::report;
use super::line_reader::{LineRange, LineReader};
use super::missing::MissingLines;
use super::pieces::{Pieces, Writer};
use crate::domain::{Entry, Kind, TaskSummary};
use crate::encode::write_json;
use crate::http::problem::Problem;
use crate::http::reader_budget::{PIECE_BYTES, ReaderBudget};
use crate::store::ReadError;

/// A page holds no more bytes than this, but at least one line, however long.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A page ends early after so many lines were examined: a filter may hide them all.
const MAX_SCANNED_LINES: u64 = 1_000_000;

/// What a gap counts for in a page's bytes: more than it has, for gaps are held until the page's
/// end. A page has about a thousand of them at most.
const GAP_COST_BYTES: usize = 8 * 1024;

/// What an entry's JSON has beside its body, in bytes; about.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Which end of the range a page is cut to where it would have too many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The first lines stay; the next page has the others.
    Start,
    /// The last lines stay; the page before has the others.
    End,
}

/// How far a page has come.
struct Progress {
    limit: u64,
    max_bytes: usize,
    bytes: usize,
    taken: u64,
    scanned: u64,
    /// The last line examined.
    last_scanned: u64,
}

impl Progress {
    fn new(reader: &LineReader, limit: u64, max_bytes: usize) -> Self {
        let last_scanned = reader.range.start.saturating_sub(1);
        Self { limit, max_bytes, bytes: 0, taken: 0, scanned: 0, last_scanned }
    }

    fn is_full(&self) -> bool {
        let is_heavy = self.bytes >= self.max_bytes;
        self.taken >= self.limit || self.scanned >= MAX_SCANNED_LINES || is_heavy
    }

    /// Takes a line, or a part of it; returns its bytes.
    fn take(&mut self, line: u64, entry: &Entry<'_>) -> usize {
        self.scan(line, entry);
        let bytes = entry.body.len() + ENTRY_OVERHEAD_BYTES;
        self.taken += u64::from(entry.kind == Kind::Log);
        self.bytes += bytes;
        bytes
    }

    fn scan(&mut self, line: u64, entry: &Entry<'_>) {
        self.scanned += u64::from(entry.kind == Kind::Log);
        self.last_scanned = line;
    }

    /// The line after which the next page begins.
    fn next_after_line(&self, range: LineRange) -> Option<u64> {
        let has_more = self.is_full() && self.last_scanned + 1 < range.end;
        has_more.then_some(self.last_scanned)
    }
}

/// Measures a page to find the lines at its end that fit.
struct Measure {
    progress: Progress,
    /// The lines that fit, with their bytes.
    fitting: VecDeque<(u64, usize)>,
    bytes: usize,
    /// Whether there were lines that do not fit.
    is_cut: bool,
}

impl Writer for Measure {
    const KEEPS_ENTRIES: bool = false;

    fn is_full(&self) -> bool {
        self.progress.is_full()
    }

    fn write(&mut self, _: &mut Vec<u8>, line: u64, entry: &Entry<'_>) {
        let bytes = self.progress.take(line, entry);
        match self.fitting.back_mut() {
            Some((last, of_line)) if *last == line => *of_line += bytes,
            _ => self.fitting.push_back((line, bytes)),
        }
        self.bytes += bytes;
        while self.bytes > MAX_PAGE_BYTES && self.fitting.len() > 1 {
            self.bytes -= self.fitting.pop_front().map_or(0, |(_, bytes)| bytes);
            self.is_cut = true;
        }
    }

    fn hide(&mut self, line: u64, entry: &Entry<'_>) {
        self.progress.scan(line, entry);
    }

    fn write_missing(&mut self, _: &mut Vec<u8>, _: &MissingLines) {}
}

/// Writes the lines of a page.
struct PageLines {
    progress: Progress,
    /// `None` where the client wants none.
    gaps: Option<Vec<MissingLines>>,
    first: Option<u64>,
    last: Option<u64>,
}

impl Writer for PageLines {
    fn is_full(&self) -> bool {
        self.progress.is_full()
    }

    fn write(&mut self, out: &mut Vec<u8>, line: u64, entry: &Entry<'_>) {
        self.progress.take(line, entry);
        if self.first.is_some() {
            out.push(b',');
        }
        write_json(out, entry);
        self.first.get_or_insert(line);
        self.last = Some(line);
    }

    fn hide(&mut self, line: u64, entry: &Entry<'_>) {
        self.progress.scan(line, entry);
    }

    /// Gaps at one place and for one reason become one; so do all at one place once there are many,
    /// which bounds them.
    fn write_missing(&mut self, _: &mut Vec<u8>, missing: &MissingLines) {
        let Some(gaps) = &mut self.gaps else { return };
        let are_many = gaps.len() >= MAX_PAGE_BYTES / GAP_COST_BYTES;
        match gaps.last_mut() {
            Some(gap) if gap.is_like(missing) => gap.take_in(missing),
            Some(gap) if are_many && gap.after_line == missing.after_line => gap.take_in(missing),
            _ => {
                gaps.push(missing.clone());
                self.progress.bytes += GAP_COST_BYTES;
            }
        }
    }
}

/// A page that is being sent.
struct LinePage {
    pieces: Pieces<PageLines>,
    anchor: Anchor,
    total_lines: u64,
    /// Where the next page begins, if that was found before.
    next_after_line: Option<u64>,
    is_whole: bool,
}

/// What a page is to be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageOptions {
    pub(super) anchor: Anchor,
    /// How many lines it has at most.
    pub(super) limit: u64,
    /// Whether it says where lines are missing.
    pub(super) tells_gaps: bool,
}

/// A page of the lines that `reader` reads.
pub(super) async fn response(
    reader: LineReader,
    summary: &TaskSummary,
    options: PageOptions,
    budget: ReaderBudget,
) -> Result<Response, Problem> {
    let PageOptions { anchor, limit, tells_gaps } = options;
    let (reader, next_after_line) = match anchor {
        Anchor::Start => (reader, None),
        Anchor::End => cut_to_end(reader, limit, &budget).await?,
    };
    // The lines at the end were measured: they all fit.
    let max_bytes = if anchor == Anchor::Start { MAX_PAGE_BYTES } else { usize::MAX };
    let progress = Progress::new(&reader, limit, max_bytes);
    let gaps = tells_gaps.then(Vec::new);
    let pieces = Pieces::new(reader, PageLines { progress, gaps, first: None, last: None }, budget);
    let total_lines = summary.last_line;
    let page = LinePage { pieces, anchor, total_lines, next_after_line, is_whole: false };
    let head = format!("{{\"taskId\":{},\"lines\":[", json!(summary.task.as_str()));
    // Begun before the response, so that what cannot be read gets its status.
    let body = page.into_body(head).await?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The same lines without those at the beginning that make the page too large, and where the next
/// page begins.
async fn cut_to_end(
    reader: LineReader,
    limit: u64,
    budget: &ReaderBudget,
) -> Result<(LineReader, Option<u64>), ReadError> {
    let range = reader.range;
    let progress = Progress::new(&reader, limit, usize::MAX);
    let measure = Measure { progress, fitting: VecDeque::new(), bytes: 0, is_cut: false };
    let mut pieces = Pieces::new(reader, measure, budget.clone());
    while pieces.next().await?.is_some() {
        tokio::task::yield_now().await;
    }
    let Measure { progress, fitting, is_cut, .. } = &pieces.writer;
    let next_after_line = progress.next_after_line(range);
    let end = next_after_line.map_or(range.end, |line| line + 1);
    let start = match fitting.front() {
        Some((first, _)) if *is_cut => *first,
        _ => range.start,
    };
    let reader = pieces.reader.reopen(LineRange { start, end }).await?;
    Ok((reader, next_after_line))
}

impl LinePage {
    /// Small pages as one piece, with their length; others are sent while they are read.
    async fn into_body(mut self, head: String) -> Result<Body, ReadError> {
        let mut bytes = 0;
        let mut begun = VecDeque::from([Bytes::from(head)]);
        while bytes < PIECE_BYTES
            && let Some(piece) = self.next().await?
        {
            bytes += piece.len();
            begun.push_back(piece);
        }
        if self.is_whole && bytes < 2 * PIECE_BYTES {
            return Ok(Vec::from(begun).concat().into());
        }
        let chunks = stream::try_unfold((begun, Box::new(self)), async |(mut begun, mut page)| {
            let chunk = match begun.pop_front() {
                Some(begun) => Some(begun),
                None => page.next().await.map_err(report)?,
            };
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, (begun, page))))
        });
        Ok(Body::from_stream(chunks))
    }

    /// The next piece; `None` once the page is whole.
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        while !self.is_whole {
            match self.pieces.next().await? {
                Some(piece) if !piece.is_empty() => return Ok(Some(piece)),
                // A filter may hide any number of blocks, so other tasks get their turn.
                Some(_) => tokio::task::yield_now().await,
                None => {
                    self.is_whole = true;
                    return Ok(Some(self.end().into()));
                }
            }
        }
        Ok(None)
    }

    /// What stands behind the lines. A page without gaps has no list of them.
    fn end(&self) -> String {
        let PageLines { progress, gaps, first, last } = &self.pieces.writer;
        let next = self.next_after_line.or_else(|| match self.anchor {
            Anchor::Start => progress.next_after_line(self.pieces.reader.range),
            Anchor::End => None,
        });
        let members = [
            ("firstLine", json!(first)),
            ("lastLine", json!(last)),
            ("totalLines", json!(self.total_lines)),
            ("nextAfterLine", json!(next)),
        ];
        let members = members.map(|(name, value)| format!(",\"{name}\":{value}"));
        let gaps = gaps.as_ref().filter(|gaps| !gaps.is_empty());
        let gaps = gaps.map_or(String::new(), |gaps| format!(",\"gaps\":{}", json!(gaps)));
        format!("]{}{gaps}}}", members.concat())
    }
}
