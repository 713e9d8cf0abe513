//! What is known about one task: where its entries stand, and its workers.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use super::committed::CommittedChunk;
use super::marks::Marks;
use super::segment::Segment;
use super::stats::RunStats;
use super::worker::ROW_COST_BYTES;
use super::workers::Workers;
use crate::domain::{Block, LineNumber, Offset, TaskId, TaskSummary, ToldEnd};
use crate::store::format::{
    ChunkRef, IndexAt, Millis, TaskFacts, TaskRecord, Trim, decode_index, read_footer_part,
};
use crate::store::task_index::{IndexedTask, SpanRow};

/// What one segment has of one task.
#[derive(Debug)]
pub(in crate::store) struct Span {
    pub(in crate::store) segment: Arc<Segment>,
    pub(in crate::store) first: Offset,
    pub(in crate::store) last: Offset,
    pub(in crate::store) first_line: LineNumber,
    /// So many lines from its first to its last.
    lines: u64,
    bytes: u64,
    first_time: Millis,
    last_time: Millis,
    /// The task's entry before `first`; `None` where there never was one.
    pub(in crate::store) previous: Option<Offset>,
    /// Where the task's index stands in a sealed segment.
    pub(in crate::store) index: Option<IndexAt>,
}

impl Span {
    /// The span of the active segment that begins with `chunk`, still without its entries.
    fn beginning_with(chunk: &CommittedChunk<'_>, active: &Arc<Segment>) -> Self {
        Self {
            segment: active.clone(),
            first: chunk.block.base,
            last: chunk.block.base,
            first_line: LineNumber(chunk.block.base_line),
            lines: 0,
            bytes: 0,
            first_time: Millis(chunk.block.time_ms),
            last_time: Millis(chunk.block.time_ms),
            previous: chunk.previous,
            index: None,
        }
    }

    /// A span as the task index has it.
    fn of_row(segment: &Arc<Segment>, row: &SpanRow) -> Self {
        Self {
            segment: segment.clone(),
            first: row.first,
            last: row.last,
            first_line: row.first_line,
            lines: row.lines,
            bytes: row.bytes,
            first_time: row.first_time,
            last_time: row.last_time,
            previous: row.previous,
            index: Some(row.index),
        }
    }

    /// The line number after its last line.
    pub(in crate::store) fn end_line(&self) -> LineNumber {
        LineNumber(self.first_line.0 + self.lines)
    }

    /// Its chunks as the footer has them, each with about the bytes of its entries; one for all of them
    /// where that cannot be read.
    fn stored_chunks(&self) -> Vec<(ChunkRef, u64)> {
        let chunks = self.read_index().unwrap_or_else(|| {
            let (base, base_line) = (self.first, self.first_line);
            vec![ChunkRef { base, base_line, bytes: 1, ..ChunkRef::default() }]
        });
        let stored: u64 = chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum();
        let share = |chunk: &ChunkRef| u128::from(self.bytes) * u128::from(chunk.bytes);
        let bytes = |chunk: &ChunkRef| (share(chunk) / u128::from(stored.max(1))) as u64;
        chunks.into_iter().map(|chunk| (chunk, bytes(&chunk))).collect()
    }

    fn read_index(&self) -> Option<Vec<ChunkRef>> {
        let file = File::open(&self.segment.path).ok()?;
        let encoded = read_footer_part(&file, self.index?).ok()??;
        decode_index(&encoded).filter(|chunks| !chunks.is_empty())
    }

    fn extend(&mut self, chunk: &CommittedChunk<'_>) {
        let block = chunk.block;
        self.last = block.last();
        // By number, not by count: chunks in between may be damaged.
        self.lines = (block.base_line + u64::from(block.lines)).saturating_sub(self.first_line.0);
        self.bytes += block.payload.len() as u64;
        self.last_time = Millis(block.time_ms);
    }
}

/// One task whose entries or whose workers a commit has changed of late. It has at least one span.
#[derive(Debug, Default)]
pub(in crate::store) struct Task {
    /// Oldest first.
    pub(in crate::store) spans: Vec<Span>,
    /// Its chunks in the active segment.
    pub(in crate::store) chunks: Vec<ChunkRef>,
    pub(super) lost_lines: u64,
    pub(super) told_end: Option<ToldEnd>,
    /// What it had before this offset was deleted.
    pub(in crate::store) deleted_to: Option<Offset>,
    /// What the limit on its bytes has taken.
    pub(in crate::store) trim: Option<Trim>,
    /// Where it may be cut; `None` where nothing is counted.
    pub(super) marks: Option<Box<Marks>>,
    /// When this process committed its last entry.
    pub(super) last_commit: Option<Instant>,
    pub(in crate::store) workers: Workers,
}

impl Task {
    /// A task as the task index has it; `segment_at` finds a segment by its first offset, where it
    /// is still there. `None` where the index says nonsense, or nothing of the task is left.
    pub(super) fn of_index(
        indexed: &IndexedTask,
        segment_at: impl Fn(Offset) -> Option<Arc<Segment>>,
    ) -> Option<Self> {
        let spans = indexed.spans.iter();
        let spans = spans.filter_map(|row| Some(Span::of_row(&segment_at(row.segment)?, row)));
        let mut task = Self {
            spans: spans.collect(),
            lost_lines: indexed.row.lost_lines,
            told_end: indexed.row.told_end,
            deleted_to: indexed.deletion.map(|deletion| deletion.end),
            trim: indexed.trim,
            ..Self::default()
        };
        let first = task.spans.first()?.first;
        for worker in &indexed.workers {
            let (record, facts) = worker.read()?;
            task.workers.restore(&record, &facts)?;
        }
        task.workers.forget_before(first);
        task.workers.continue_at(indexed.row.next_ordinal);
        Some(task)
    }

    /// The last entry's offset; `None` before the first.
    pub(in crate::store) fn last(&self) -> Option<Offset> {
        self.spans.last().map(|span| span.last)
    }

    /// When the last entry was committed.
    pub(super) fn last_time(&self) -> Option<Millis> {
        self.spans.last().map(|span| span.last_time)
    }

    /// One that has nothing but an entry at `last`.
    #[cfg(test)]
    pub(super) fn ending_at(last: Offset) -> Self {
        let span = Span {
            segment: Segment::new(Offset::FIRST, std::path::PathBuf::new()),
            first: last,
            last,
            first_line: LineNumber(1),
            lines: 0,
            bytes: 0,
            first_time: Millis(0),
            last_time: Millis(0),
            previous: None,
            index: None,
        };
        Self { spans: vec![span], ..Self::default() }
    }

    /// The number that the next line will get.
    pub(in crate::store) fn next_line(&self) -> LineNumber {
        self.spans.last().map_or(LineNumber(1), Span::end_line)
    }

    /// Grows the span of the active segment by `chunk`; returns the bytes it added.
    pub(super) fn extend_span(
        &mut self,
        active: &Arc<Segment>,
        chunk: &CommittedChunk<'_>,
    ) -> usize {
        let begins = self.spans.last().is_none_or(|span| !Arc::ptr_eq(&span.segment, active));
        if begins {
            // Most tasks have one span for ever.
            self.spans.reserve_exact(usize::from(self.spans.is_empty()));
            self.spans.push(Span::beginning_with(chunk, active));
        }
        self.spans.last_mut().expect("one was there or was pushed").extend(chunk);
        usize::from(begins) * size_of::<Span>()
    }

    /// Notes where a chunk of it stands; returns the bytes that this added.
    pub(super) fn add_chunk(&mut self, location: Option<ChunkRef>) -> usize {
        let Some(location) = location else { return 0 };
        self.chunks.reserve_exact(usize::from(self.chunks.is_empty()));
        self.chunks.push(location);
        size_of::<ChunkRef>()
    }

    /// Counts a chunk for the limit on its bytes; returns the bytes of memory it added.
    pub(super) fn add_marks(&mut self, limit: u64, block: &Block) -> usize {
        self.marks.get_or_insert_default().add_block(limit, block)
    }

    /// Counts what the task index has of it: a task that was let go goes on.
    pub(super) fn restore_marks(&mut self, limit: u64) {
        let mut marks = Marks::default();
        let from = self.trim.map_or(Offset(0), |trim| trim.end);
        for span in self.spans.iter().filter(|span| span.last >= from) {
            for (chunk, bytes) in span.stored_chunks() {
                if chunk.base >= from {
                    marks.add(limit, chunk.base, chunk.base_line, bytes);
                }
            }
        }
        self.marks = Some(Box::new(marks));
    }

    /// What is to go of it to keep it within `limit` bytes.
    pub(super) fn due_trim(&self, limit: u64) -> Option<Trim> {
        self.marks.as_ref()?.due(limit, self.trim)
    }

    /// Whether it keeps more than `limit` bytes.
    pub(super) fn is_over(&self, limit: u64) -> bool {
        self.due_trim(limit).is_some()
    }

    /// Hides its middle; returns the bytes of memory that this freed.
    pub(super) fn trim(&mut self, trim: Trim) -> usize {
        self.trim = Some(trim);
        self.marks.as_mut().map_or(0, |marks| marks.forget(&trim))
    }

    /// Notes what a run says of its worker; returns the bytes it added.
    pub(super) fn note_run(&mut self, run: &RunStats<'_>) -> usize {
        self.lost_lines = self.lost_lines.saturating_add(run.records.lost_lines);
        self.told_end = run.records.told_end.or(self.told_end);
        if let Some(told_end) = &mut self.told_end {
            told_end.is_reopened |= run.records.goes_on;
        }
        self.workers.note_run(run)
    }

    /// Drops the span in `segment`; returns the bytes it freed.
    pub(super) fn forget(&mut self, segment: &Arc<Segment>) -> usize {
        let spans = self.spans.len();
        self.spans.retain(|span| !Arc::ptr_eq(&span.segment, segment));
        if self.spans.len() == spans {
            return 0;
        }
        let first = self.spans.first().map_or(Offset(u64::MAX), |span| span.first);
        size_of::<Span>() + self.workers.forget_before(first)
    }

    /// Whether all of it stands in segments that begin before `end`, so that the index has it.
    pub(super) fn is_indexed(&self, end: Offset) -> bool {
        self.chunks.is_empty() && self.spans.last().is_none_or(|span| span.segment.base < end)
    }

    /// What is known about the task, whose id is `task`, with up to `workers` of its workers.
    pub(in crate::store) fn summary(&self, task: TaskId, workers: usize) -> Option<TaskSummary> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        Some(TaskSummary {
            task,
            first_offset: first.first,
            last_offset: last.last,
            first_line: first.first_line.0,
            last_line: last.end_line().0 - 1,
            bytes: kept_bytes(self.spans.iter().map(|span| span.bytes).sum(), self.trim),
            lost_lines: self.lost_lines,
            trimmed_lines: self.trim.map_or(0, |trim| trim.lines_from(first.first_line)),
            first_time_ms: first.first_time.0,
            last_time_ms: last.last_time.0,
            last_commit: self.last_commit,
            told_end: self.told_end,
            worker_counts: self.workers.counts(),
            workers: self.workers.page(0, workers),
        })
    }

    /// What the footer of the active segment is to say of the task; `None` when it has nothing
    /// there.
    pub(in crate::store) fn record<'a>(
        &'a self,
        task: &'a TaskId,
        active: &Arc<Segment>,
        index: IndexAt,
    ) -> Option<TaskRecord<'a>> {
        let span = self.spans.last().filter(|span| Arc::ptr_eq(&span.segment, active))?;
        Some(TaskRecord {
            task: task.as_str(),
            first: span.first,
            last: span.last,
            first_line: span.first_line,
            lines: span.lines,
            bytes: span.bytes,
            lost_lines: self.lost_lines,
            first_time: span.first_time,
            last_time: span.last_time,
            previous: span.previous,
            index,
            workers: self.workers.records(span.first),
        })
    }

    /// What the footer of the active segment is to say of the task beside its record; `None` where
    /// that is nothing.
    pub(in crate::store) fn facts<'a>(
        &self,
        task: &'a TaskId,
        active: &Arc<Segment>,
    ) -> Option<TaskFacts<'a>> {
        let span = self.spans.last().filter(|span| Arc::ptr_eq(&span.segment, active))?;
        let (told_end, workers) = (self.told_end, self.workers.facts(span.first));
        let says_something = told_end.is_some() || !workers.is_empty();
        says_something.then_some(TaskFacts { task: task.as_str(), told_end, workers })
    }

    /// About what it takes under this id, in bytes.
    pub(super) fn cost(&self, id: &TaskId) -> usize {
        let spans = self.spans.len() * size_of::<Span>();
        let chunks = self.chunks.len() * size_of::<ChunkRef>();
        let marks = self.marks.as_ref().map_or(0, |marks| marks.cost());
        task_cost(id) + spans + chunks + marks + self.workers.cost()
    }
}

/// Bytes that a task keeps of `bytes`; about, where retention has taken a part of what was trimmed.
pub(in crate::store) fn kept_bytes(bytes: u64, trim: Option<Trim>) -> u64 {
    bytes.saturating_sub(trim.map_or(0, |trim| trim.bytes))
}

/// About what a task without spans and workers takes, in bytes.
pub(super) fn task_cost(id: &TaskId) -> usize {
    ROW_COST_BYTES + size_of::<(TaskId, Task)>() + size_of::<(Offset, TaskId)>() + id.as_str().len()
}
