//! What is known of one task: where its entries stand, and its workers.

use std::collections::VecDeque;
use std::sync::Arc;

use super::committed::CommittedChunk;
use super::segment::Segment;
use super::stats::RunStats;
use super::worker::{ROW_COST_BYTES, Worker};
use crate::domain::{IdMap, LineNumber, Offset, TaskId, TaskSummary, WorkerId, WorkerSummary};
use crate::store::format::{ChunkRef, IndexAt, Millis, TaskRecord, WorkerRecord};

/// What one segment has of one task.
#[derive(Debug)]
pub(in crate::store) struct Span {
    pub(in crate::store) segment: Arc<Segment>,
    pub(in crate::store) first: Offset,
    pub(in crate::store) last: Offset,
    pub(in crate::store) first_line: LineNumber,
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

    /// A span as the footer of `segment` has it.
    pub(super) fn of_record(segment: &Arc<Segment>, record: &TaskRecord<'_>) -> Self {
        Self {
            segment: segment.clone(),
            first: record.first,
            last: record.last,
            first_line: record.first_line,
            lines: record.lines,
            bytes: record.bytes,
            first_time: record.first_time,
            last_time: record.last_time,
            previous: record.previous,
            index: Some(record.index),
        }
    }

    /// The line number after its last line.
    pub(in crate::store) fn end_line(&self) -> LineNumber {
        LineNumber(self.first_line.0 + self.lines)
    }

    fn extend(&mut self, chunk: &CommittedChunk<'_>) {
        let block = chunk.block;
        self.last = block.last();
        self.lines += u64::from(block.lines);
        self.bytes += block.payload.len() as u64;
        self.last_time = Millis(block.time_ms);
    }
}

/// One task. It has at least one span while it is in the catalog.
#[derive(Debug, Default)]
pub(in crate::store) struct Task {
    /// Oldest first.
    pub(in crate::store) spans: VecDeque<Span>,
    /// Its chunks in the active segment.
    pub(in crate::store) chunks: Vec<ChunkRef>,
    pub(super) lost_lines: u64,
    workers: IdMap<WorkerId, Worker>,
    next_ordinal: u32,
}

impl Task {
    /// The last entry's offset; `None` before the first.
    pub(in crate::store) fn last(&self) -> Option<Offset> {
        self.spans.back().map(|span| span.last)
    }

    /// The number that the next line will get.
    pub(in crate::store) fn next_line(&self) -> LineNumber {
        self.spans.back().map_or(LineNumber(1), Span::end_line)
    }

    /// The last kept number of a session.
    pub(in crate::store) fn last_seq(&self, worker: &WorkerId, session: &str) -> Option<u64> {
        self.workers.get(worker)?.last_seq(session)
    }

    /// Grows the span of the active segment by `chunk`; returns the bytes it added.
    pub(super) fn extend_span(
        &mut self,
        active: &Arc<Segment>,
        chunk: &CommittedChunk<'_>,
    ) -> usize {
        let begins = self.spans.back().is_none_or(|span| !Arc::ptr_eq(&span.segment, active));
        if begins {
            self.spans.push_back(Span::beginning_with(chunk, active));
        }
        self.spans.back_mut().expect("one was there or was pushed").extend(chunk);
        usize::from(begins) * size_of::<Span>()
    }

    /// Notes what a run says of its worker; returns the bytes it added.
    pub(super) fn note_run(&mut self, run: &RunStats<'_>) -> usize {
        if let Some(worker) = self.workers.get_mut(run.worker) {
            return worker.note_run(run);
        }
        let Ok(id) = WorkerId::new(run.worker) else { return 0 };
        let mut worker = Worker::new(self.next_ordinal);
        self.next_ordinal += 1;
        worker.note_run(run);
        let added = worker.cost(&id);
        self.workers.insert(id, worker);
        added
    }

    /// Takes a worker in as a footer has it; returns the bytes it added, `None` where the footer
    /// says nonsense.
    pub(super) fn restore_worker(&mut self, record: &WorkerRecord<'_>) -> Option<usize> {
        let id = WorkerId::new(record.worker).ok()?;
        let worker = Worker::of_record(record);
        let added = worker.cost(&id);
        self.next_ordinal = self.next_ordinal.max(record.ordinal + 1);
        let replaced = self.workers.insert(id.clone(), worker);
        Some(added.saturating_sub(replaced.map_or(0, |old| old.cost(&id))))
    }

    /// Drops the span in `segment`; returns the bytes it freed.
    pub(super) fn forget(&mut self, segment: &Arc<Segment>) -> usize {
        let spans = self.spans.len();
        self.spans.retain(|span| !Arc::ptr_eq(&span.segment, segment));
        if self.spans.len() == spans {
            return 0;
        }
        let first = self.spans.front().map(|span| span.first);
        let mut freed = size_of::<Span>();
        self.workers.retain(|id, worker| {
            let is_gone = first.is_none_or(|first| worker.last < first);
            freed += if is_gone { worker.cost(id) } else { 0 };
            !is_gone
        });
        freed
    }

    /// What is known of the task, whose id is `task`.
    pub(super) fn summary(&self, task: TaskId) -> Option<TaskSummary> {
        let (first, last) = (self.spans.front()?, self.spans.back()?);
        Some(TaskSummary {
            task,
            first_offset: first.first,
            last_offset: last.last,
            first_line: first.first_line.0,
            last_line: last.end_line().0 - 1,
            bytes: self.spans.iter().map(|span| span.bytes).sum(),
            lost_lines: self.lost_lines,
            first_time_ms: first.first_time.0,
            last_time_ms: last.last_time.0,
            workers: self.worker_summaries(),
        })
    }

    fn worker_summaries(&self) -> Vec<WorkerSummary> {
        let mut workers: Vec<_> = self.workers.iter().collect();
        workers.sort_unstable_by_key(|(_, worker)| worker.ordinal);
        workers.into_iter().map(|(id, worker)| worker.summary(id)).collect()
    }

    /// What the footer of the active segment is to say of the task; `None` when it has nothing
    /// there.
    pub(super) fn record<'a>(
        &'a self,
        task: &'a TaskId,
        active: &Arc<Segment>,
        index: IndexAt,
    ) -> Option<TaskRecord<'a>> {
        let span = self.spans.back().filter(|span| Arc::ptr_eq(&span.segment, active))?;
        let here = self.workers.iter().filter(|(_, worker)| worker.last >= span.first);
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
            workers: here.map(|(id, worker)| worker.record(id)).collect(),
        })
    }
}

/// About what a task without spans and workers takes, in bytes.
pub(super) fn task_cost(id: &TaskId) -> usize {
    ROW_COST_BYTES + size_of::<(TaskId, Task)>() + id.as_str().len()
}
