//! Where in which segment entries stand, and what is gone before them: what a read needs of the
//! catalog, looked up under its lock.

use std::sync::Arc;

use crate::domain::{Gap, LineNumber, Offset, TaskId};
use crate::store::catalog::{Catalog, Segment, Span};
use crate::store::format::{ChunkRef, FIRST_CHUNK, FilePosition, IndexAt};

/// Where entries stand in one segment.
pub(super) enum ChunkSource {
    /// In these chunks.
    Chunks(Vec<ChunkRef>),
    /// In those of an index in the footer.
    Index(IndexAt),
}

/// Chunks of one segment.
pub(super) struct SegmentChunks {
    pub(super) segment: Arc<Segment>,
    pub(super) source: ChunkSource,
}

/// The next step of a read, and what is gone before it.
pub(super) struct ReadStep {
    pub(super) gap: Option<Gap>,
    /// `None` at the end.
    pub(super) chunks: Option<SegmentChunks>,
    /// Where the segment's chunks end.
    pub(super) data_end: FilePosition,
    pub(super) tail: Offset,
}

/// What a line's address leads to.
pub(super) struct LineLocation {
    /// The offset after the task's last entry; the tail where there is no such task.
    pub(super) task_end: Offset,
    /// The line, or the first kept one after it, and where it stands.
    pub(super) line: Option<(LineNumber, SegmentChunks)>,
}

/// Where a task's entries from `from` on stand, about `max_bytes` of them.
pub(super) fn next_step_of_task(
    catalog: &Catalog,
    id: &TaskId,
    from: Offset,
    max_bytes: usize,
) -> ReadStep {
    let tail = catalog.tail;
    let end = ReadStep { gap: None, chunks: None, data_end: catalog.active_end, tail };
    let Some(task) = catalog.tasks.get(id) else {
        return ReadStep { gap: forgotten_gap(catalog, from), ..end };
    };
    let gap = task.spans.front().and_then(|first| gap_before(catalog, first, from));
    let at = task.spans.partition_point(|span| span.last < from);
    let Some(span) = task.spans.get(at) else { return end };
    let source = match span.index {
        Some(index) => ChunkSource::Index(index),
        None => ChunkSource::Chunks(enough(&task.chunks, from, max_bytes)),
    };
    ReadStep { gap, chunks: Some(SegmentChunks { segment: span.segment.clone(), source }), ..end }
}

/// Chunks from `from` on that hold at least `bytes`.
fn enough(chunks: &[ChunkRef], from: Offset, bytes: usize) -> Vec<ChunkRef> {
    let start = chunks.partition_point(|chunk| chunk.end() <= from);
    let mut stored = 0;
    let is_wanted = |chunk: &&ChunkRef| {
        let goes_on = stored < bytes.max(1);
        stored += chunk.bytes as usize;
        goes_on
    };
    chunks[start..].iter().take_while(is_wanted).copied().collect()
}

/// What a reader at `from` misses before a task's first kept span.
fn gap_before(catalog: &Catalog, first: &Span, from: Offset) -> Option<Gap> {
    if from >= first.first {
        return None;
    }
    let Some(previous) = first.previous else { return forgotten_gap(catalog, from) };
    (previous >= from).then(|| Gap {
        from,
        to: previous,
        lines: (from == Offset::FIRST).then_some(first.first_line.0 - 1),
        reason: "retention",
    })
}

/// What a reader who has read before may miss of a task of which nothing older is known: the
/// task may have been forgotten as a whole.
fn forgotten_gap(catalog: &Catalog, from: Offset) -> Option<Gap> {
    let start = catalog.log_start_offset();
    let to = Offset(start.0 - 1);
    let is_lost = from > Offset::FIRST && from < start;
    is_lost.then_some(Gap { from, to, lines: None, reason: "retention" })
}

/// Where entries of any task from `from` on stand.
pub(super) fn next_step_of_all(catalog: &Catalog, from: Offset) -> ReadStep {
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
        return ReadStep { gap, chunks: None, data_end, tail };
    }
    let at = catalog.segments.partition_point(|segment| segment.base <= from) - 1;
    let segment = catalog.segments[at].clone();
    let (source, data_end) = match segment.sealed.get() {
        Some(sealed) => (ChunkSource::Index(sealed.sparse), sealed.data_end),
        None => {
            let chunk = last_not_after(&catalog.sparse, from);
            (ChunkSource::Chunks(chunk.into_iter().collect()), data_end)
        }
    };
    ReadStep { gap, chunks: Some(SegmentChunks { segment, source }), data_end, tail }
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

/// The end of a task, and where a line of it stands, or the first kept one after it.
pub(super) fn locate_line(catalog: &Catalog, id: &TaskId, line: LineNumber) -> LineLocation {
    let Some(task) = catalog.tasks.get(id) else {
        return LineLocation { task_end: catalog.tail, line: None };
    };
    let task_end = task.last().unwrap_or_default().next();
    let Some(first) = task.spans.front() else { return LineLocation { task_end, line: None } };
    let line = line.max(first.first_line);
    let at = task.spans.partition_point(|span| span.end_line() <= line);
    let line = task.spans.get(at).map(|span| {
        let source = match span.index {
            Some(index) => ChunkSource::Index(index),
            None => ChunkSource::Chunks(chunk_of_line(&task.chunks, line).into_iter().collect()),
        };
        (line, SegmentChunks { segment: span.segment.clone(), source })
    });
    LineLocation { task_end, line }
}

/// The chunk that holds `line`: the last one that does not begin behind it.
pub(super) fn chunk_of_line(chunks: &[ChunkRef], line: LineNumber) -> Option<ChunkRef> {
    let after = chunks.partition_point(|chunk| chunk.base_line <= line);
    after.checked_sub(1).map(|at| chunks[at])
}
