//! Where in which segment entries stand, and what is gone before them.

use std::sync::Arc;

use super::hidden::deleted_gap;
use super::spans::{ChunkSource, FoundSpan, Spans};
use crate::domain::{Gap, LineNumber, Offset};
use crate::store::catalog::{Catalog, Segment};
use crate::store::format::{ChunkRef, FIRST_CHUNK, FilePosition, Trim};
use crate::store::task_index::IndexError;

/// Chunks of one segment.
pub(super) struct SegmentChunks {
    pub(super) segment: Arc<Segment>,
    pub(super) source: ChunkSource,
    /// The first wanted entry in it, as far as that is known.
    pub(super) first: Offset,
    /// The last one, where all of them are meant.
    pub(super) last: Option<Offset>,
}

/// The catalog's ends at one moment.
#[derive(Clone, Copy)]
pub(super) struct LogRange {
    /// The first offset that may still be kept.
    pub(super) start: Offset,
    /// The offset that the next entry will get.
    pub(super) tail: Offset,
}

impl LogRange {
    pub(super) fn of(catalog: &Catalog) -> Self {
        Self { start: catalog.log_start_offset(), tail: catalog.tail }
    }
}

/// The next step of a task's read, and what is gone before it.
pub(super) struct TaskStep {
    pub(super) gap: Option<Gap>,
    /// `None` at the end.
    pub(super) span: Option<FoundSpan>,
    /// What the limit on the task's bytes has taken.
    pub(super) trim: Option<Trim>,
}

impl TaskStep {
    /// The end, and what is gone before it.
    pub(super) fn end(gap: Option<Gap>) -> Self {
        Self { gap, span: None, trim: None }
    }
}

/// Where a task's entries from `from` on stand, about `max_bytes` of them.
///
/// # Errors
/// When the task index cannot be read.
pub(super) fn next_step_of_task(
    log: LogRange,
    spans: &impl Spans,
    from: Offset,
    max_bytes: usize,
) -> Result<TaskStep, IndexError> {
    let Some(first) = spans.first()? else {
        return Ok(TaskStep::end(forgotten_gap(log, from, spans.deleted_to()?)));
    };
    let gap = match first.previous {
        _ if from >= first.first => None,
        Some(previous) => gone_gap(log, &first, previous, from),
        None => forgotten_gap(log, from, spans.deleted_to()?),
    };
    Ok(TaskStep { gap, span: spans.at(from, max_bytes)?, trim: spans.trim()? })
}

/// What a reader at `from` misses before a task's first kept span, whose entry before is gone.
fn gone_gap(log: LogRange, first: &FoundSpan, previous: Offset, from: Offset) -> Option<Gap> {
    // Retention takes whole segments, from the oldest on.
    let reason = if previous < log.start { "retention" } else { "damage" };
    (previous >= from).then(|| Gap {
        from,
        to: previous,
        lines: (from == Offset::FIRST).then_some(first.first_line.0 - 1),
        reason,
    })
}

/// What a reader who has read before may miss of a task of which nothing older is known: the
/// task may have been forgotten as a whole, or deleted up to `deleted_to`. Whoever begins at the
/// first entry misses nothing.
pub(super) fn forgotten_gap(
    log: LogRange,
    from: Offset,
    deleted_to: Option<Offset>,
) -> Option<Gap> {
    if from == Offset::FIRST {
        return None;
    }
    if let Some(end) = deleted_to.filter(|end| from < *end && log.start <= *end) {
        return Some(deleted_gap(from, end));
    }
    let to = Offset(log.start.0 - 1);
    (from < log.start).then_some(Gap { from, to, lines: None, reason: "retention" })
}

/// The next step of a read of all tasks, and what is gone before it.
pub(super) struct ScanStep {
    pub(super) gap: Option<Gap>,
    /// `None` at the end.
    pub(super) chunks: Option<SegmentChunks>,
    /// What the limit on its bytes has taken, of the one task that is read.
    pub(super) trim: Option<Trim>,
    /// Where the segment's chunks end.
    pub(super) data_end: FilePosition,
    pub(super) tail: Offset,
}

/// Where entries of any task from `from` on stand.
pub(super) fn next_step_of_all(catalog: &Catalog, from: Offset) -> ScanStep {
    let start = catalog.log_start_offset();
    let gap = (from < start).then(|| Gap {
        from,
        to: Offset(start.0 - 1),
        lines: None,
        reason: "retention",
    });
    let (data_end, tail) = (catalog.active_end, catalog.tail);
    let from = from.max(start);
    if from >= tail {
        return ScanStep { gap, chunks: None, trim: None, data_end, tail };
    }
    let at = catalog.segments.partition_point(|segment| segment.base <= from) - 1;
    let segment = catalog.segments[at].clone();
    let (source, data_end, end) = match segment.sealed.get() {
        Some(sealed) => (ChunkSource::Index(sealed.sparse), sealed.data_end, sealed.end_offset),
        None => {
            let chunk = last_not_after(&catalog.sparse, from);
            (ChunkSource::Chunks(chunk.into_iter().collect()), data_end, tail)
        }
    };
    let last = Some(Offset(end.0.saturating_sub(1)));
    let chunks = Some(SegmentChunks { segment, source, first: from, last });
    ScanStep { gap, chunks, trim: None, data_end, tail }
}

/// Where a scan for `from` begins.
pub(super) fn scan_start(sparse: &[ChunkRef], from: Offset) -> FilePosition {
    last_not_after(sparse, from).map_or(FIRST_CHUNK, |chunk| chunk.position)
}

/// The last chunk that does not begin after `from`.
fn last_not_after(chunks: &[ChunkRef], from: Offset) -> Option<ChunkRef> {
    let after = chunks.partition_point(|chunk| chunk.base <= from);
    after.checked_sub(1).map(|at| chunks[at])
}

/// What a line's address leads to.
pub(super) struct LineLocation {
    /// The offset after the task's last entry, or of the line's gap where it was trimmed; the tail where
    /// there is no such task.
    pub(super) task_end: Offset,
    /// The line, or the first kept one after it, and where it stands.
    pub(super) line: Option<(LineNumber, FoundSpan)>,
    /// Where the entries before it end, if the line itself is lost between others.
    pub(super) lost_at: Option<Offset>,
}

impl LineLocation {
    /// That of a line of a task that there is not.
    pub(super) fn unknown(log: LogRange) -> Self {
        Self { task_end: log.tail, line: None, lost_at: None }
    }
}

/// The end of a task, and where a line of it stands, or the first kept one after it.
///
/// # Errors
/// When the task index cannot be read.
pub(super) fn locate_line(
    log: LogRange,
    spans: &impl Spans,
    line: LineNumber,
) -> Result<LineLocation, IndexError> {
    let Some(last) = spans.last()? else {
        return Ok(LineLocation::unknown(log));
    };
    if let Some(trim) = spans.trim()?.filter(|trim| trim.hides_line(line)) {
        return Ok(LineLocation { task_end: trim.from, line: None, lost_at: None });
    }
    let span = spans.of_line(line)?;
    let lost_at = match &span {
        Some(span) if line < span.first_line => {
            let is_damage = span.previous.is_some_and(|previous| previous >= log.start);
            spans.end_before(span.segment)?.or_else(|| is_damage.then_some(log.start))
        }
        _ => None,
    };
    let line = span.map(|span| (line.max(span.first_line), span));
    Ok(LineLocation { task_end: last.next(), line, lost_at })
}
