//! Where in which segment entries stand, and what is gone before them: what a read needs of the
//! directory, looked up under its lock.

use std::sync::Arc;

use super::directory::{Directory, Segment};
use super::index::{ChunkRef, IndexAt};
use super::segment::HEADER_BYTES;
use super::task::Span;
use crate::domain::Gap;
use crate::domain::{Offset, TaskId};

/// Where entries stand in one segment.
pub(super) enum ChunkSource {
    /// These chunks.
    Chunks(Vec<ChunkRef>),
    /// Those of an index in the footer.
    Index(IndexAt),
}

/// The next place of a read, and what was gone before it.
pub(super) struct ReadStep {
    pub(super) gap: Option<Gap>,
    /// The segment and what of it; `None` at the end.
    pub(super) place: Option<(Arc<Segment>, ChunkSource)>,
    /// Where the segment's chunks end.
    pub(super) data_end: u64,
    pub(super) tail: u64,
}

/// Where a task's entries from `gathered.next` on stand.
pub(super) fn next_step_of_task(
    directory: &Directory,
    id: &TaskId,
    (from, max_bytes): (u64, usize),
) -> ReadStep {
    let tail = directory.tail;
    let end = ReadStep { gap: None, place: None, data_end: directory.active_end, tail };
    let Some(task) = directory.tasks.get(id) else {
        return ReadStep { gap: forgotten_gap(directory, from), ..end };
    };
    let gap = task.spans.front().and_then(|first| gap_before(directory, first, from));
    let at = task.spans.partition_point(|span| span.last < from);
    let Some(span) = task.spans.get(at) else { return end };
    let source = match span.index {
        Some(index) => ChunkSource::Index(index),
        None => ChunkSource::Chunks(enough(&task.chunks, from, max_bytes)),
    };
    ReadStep { gap, place: Some((span.segment.clone(), source)), ..end }
}

/// Chunks from `from` on that hold at least `bytes`.
fn enough(chunks: &[ChunkRef], from: u64, bytes: usize) -> Vec<ChunkRef> {
    let start = chunks.partition_point(|chunk| chunk.end() <= from);
    let mut stored = 0;
    let within = |chunk: &&ChunkRef| {
        let goes_on = stored < bytes.max(1);
        stored += chunk.bytes as usize;
        goes_on
    };
    chunks[start..].iter().take_while(within).copied().collect()
}

/// What a reader at `from` misses before a task's first kept span.
fn gap_before(directory: &Directory, first: &Span, from: u64) -> Option<Gap> {
    if from >= first.first {
        return None;
    }
    if first.previous == 0 {
        return forgotten_gap(directory, from);
    }
    (first.previous >= from).then(|| Gap {
        from: Offset(from),
        to: Offset(first.previous),
        lines: (from == Offset::FIRST.0).then_some(first.first_line - 1),
        reason: "retention",
    })
}

/// What a reader who has read before may miss of a task of which nothing older is known: the
/// task may have been forgotten as a whole.
fn forgotten_gap(directory: &Directory, from: u64) -> Option<Gap> {
    let log_start_offset = directory.log_start_offset();
    let to = Offset(log_start_offset - 1);
    let lost = from > Offset::FIRST.0 && from < log_start_offset;
    lost.then_some(Gap { from: Offset(from), to, lines: None, reason: "retention" })
}

/// Where entries of any task from `from` on stand.
pub(super) fn next_step_of_all(directory: &Directory, from: u64) -> ReadStep {
    let log_start_offset = directory.log_start_offset();
    let gap = (from < log_start_offset).then(|| Gap {
        from: Offset(from),
        to: Offset(log_start_offset - 1),
        lines: None,
        reason: "retention",
    });
    let (data_end, tail) = (directory.active_end, directory.tail);
    let from = from.max(log_start_offset);
    if from >= tail {
        return ReadStep { gap, place: None, data_end, tail };
    }
    let at = directory.segments.partition_point(|segment| segment.base <= from) - 1;
    let segment = &directory.segments[at];
    let (source, data_end) = match segment.sealed.get() {
        Some(sealed) => (ChunkSource::Index(sealed.sparse), sealed.data_end),
        None => {
            let start = directory.sparse.partition_point(|chunk| chunk.base <= from);
            let chunk = start.checked_sub(1).map(|at| directory.sparse[at]);
            (ChunkSource::Chunks(chunk.into_iter().collect()), data_end)
        }
    };
    ReadStep { gap, place: Some((segment.clone(), source)), data_end, tail }
}

/// Where a scan for `from` begins.
pub(super) fn scan_start(sparse: &[ChunkRef], from: u64) -> u64 {
    let after = sparse.partition_point(|chunk| chunk.base <= from);
    after.checked_sub(1).map_or(HEADER_BYTES, |at| sparse[at].position)
}

/// The end of a task, and where a line of it stands, or the first kept one after it.
pub(super) fn locate_line(
    directory: &Directory,
    id: &TaskId,
    line: u64,
) -> (u64, Option<(Arc<Segment>, ChunkSource, u64)>) {
    let Some(task) = directory.tasks.get(id) else { return (directory.tail, None) };
    let end = task.last() + 1;
    let Some(first) = task.spans.front() else { return (end, None) };
    let line = line.max(first.first_line);
    let at = task.spans.partition_point(|span| span.end_line() <= line);
    let place = task.spans.get(at).map(|span| {
        let source = match span.index {
            Some(index) => ChunkSource::Index(index),
            None => ChunkSource::Chunks(chunk_of_line(&task.chunks, line).into_iter().collect()),
        };
        (span.segment.clone(), source, line)
    });
    (end, place)
}

/// The chunk that holds `line`: the last one that does not begin behind it.
pub(super) fn chunk_of_line(chunks: &[ChunkRef], line: u64) -> Option<ChunkRef> {
    let after = chunks.partition_point(|chunk| chunk.base_line <= line);
    after.checked_sub(1).map(|at| chunks[at])
}
