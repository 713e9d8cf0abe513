//! What is known of one task: where its entries stand, and its workers.

use std::collections::VecDeque;
use std::sync::Arc;

use super::directory::{CommittedChunk, Segment};
use super::footer::{TaskRecord, WorkerRecord};
use super::index::{ChunkRef, IndexAt};
use super::stats::RunStats;
use crate::domain::{IdMap, Offset, TaskId, TaskSummary, WorkerId, WorkerState, WorkerSummary};

/// Sessions remembered per worker; a producer has one, and a new one when it restarts.
const MAX_SESSIONS_PER_WORKER: usize = 4;

/// What maps, allocations and the like add to a row, in bytes; a cautious guess.
const ROW_COST_BYTES: usize = 64;

/// What one segment has of one task.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) segment: Arc<Segment>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) first_line: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) first_time_ms: u64,
    pub(super) last_time_ms: u64,
    /// The task's entry before `first`, 0 where there never was one.
    pub(super) previous: u64,
    /// Where the task's index stands in a sealed segment.
    pub(super) index: Option<IndexAt>,
}

impl Span {
    /// The line number after its last line.
    pub(super) fn end_line(&self) -> u64 {
        self.first_line + self.lines
    }
}

#[derive(Debug)]
struct Worker {
    /// Its place among the task's workers.
    ordinal: u32,
    lines: u64,
    state: Option<(WorkerState, u64)>,
    last: u64,
    /// The last number of each session, the session used last at the end.
    sessions: Vec<(Arc<str>, u64)>,
}

/// One task. It has at least one span while it is in the directory.
#[derive(Debug, Default)]
pub(super) struct Task {
    /// Oldest first.
    pub(super) spans: VecDeque<Span>,
    /// Its chunks in the active segment.
    pub(super) chunks: Vec<ChunkRef>,
    pub(super) lost_lines: u64,
    workers: IdMap<WorkerId, Worker>,
    next_ordinal: u32,
}

impl Task {
    /// The last entry's offset; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.spans.back().map_or(0, |span| span.last)
    }

    /// The number that the next line will get.
    pub(super) fn next_line(&self) -> u64 {
        self.spans.back().map_or(1, Span::end_line)
    }

    /// The last kept number of a session.
    pub(super) fn last_seq(&self, worker: &WorkerId, session: &str) -> Option<u64> {
        let sessions = &self.workers.get(worker)?.sessions;
        sessions.iter().find(|(id, _)| **id == *session).map(|(_, seq)| *seq)
    }
}

impl Task {
    /// Grows the span of the active segment by `chunk`; returns the bytes it added.
    pub(super) fn extend_span(
        &mut self,
        active: &Arc<Segment>,
        chunk: &CommittedChunk<'_>,
    ) -> usize {
        let block = chunk.block;
        let begins = self.spans.back().is_none_or(|span| !Arc::ptr_eq(&span.segment, active));
        if begins {
            self.spans.push_back(Span {
                segment: active.clone(),
                first: block.base.0,
                last: 0,
                first_line: block.base_line,
                lines: 0,
                bytes: 0,
                first_time_ms: block.time_ms,
                last_time_ms: 0,
                previous: chunk.previous,
                index: None,
            });
        }
        let span = self.spans.back_mut().expect("one was there or was pushed");
        span.last = block.last().0;
        span.lines += u64::from(block.lines);
        span.bytes += block.payload.len() as u64;
        span.last_time_ms = block.time_ms;
        usize::from(begins) * size_of::<Span>()
    }

    /// Notes what a run says of its worker; returns the bytes it added.
    pub(super) fn note_run(&mut self, run: &RunStats<'_>) -> usize {
        let mut added = 0;
        let worker = match self.workers.get_mut(run.worker) {
            Some(worker) => worker,
            None => {
                let Ok(id) = WorkerId::new(run.worker) else { return 0 };
                added += worker_cost(&id);
                let ordinal = self.next_ordinal;
                self.next_ordinal += 1;
                self.workers.entry(id).or_insert(Worker::new(ordinal))
            }
        };
        worker.lines += run.stats.lines;
        worker.last = run.stats.last;
        worker.state = run.stats.state.or(worker.state);
        added + run.session.map_or(0, |(session, seq)| worker.note_session(session, seq))
    }

    /// Takes a worker in as a footer has it; returns the bytes it added.
    pub(super) fn restore_worker(&mut self, record: &WorkerRecord<'_>) -> Option<usize> {
        let id = WorkerId::new(record.worker).ok()?;
        let mut worker = Worker {
            ordinal: record.ordinal,
            lines: record.lines,
            state: record.state,
            last: record.last,
            sessions: Vec::new(),
        };
        let mut added = worker_cost(&id);
        for (session, seq) in &record.sessions {
            added += worker.note_session(session, *seq);
        }
        self.next_ordinal = self.next_ordinal.max(record.ordinal + 1);
        let replaced = self.workers.insert(id.clone(), worker);
        let replaced = replaced.map_or(0, |old| worker_cost(&id) + sessions_cost(&old.sessions));
        Some(added.saturating_sub(replaced))
    }

    /// Drops the span in `segment`; returns the bytes it freed.
    pub(super) fn forget(&mut self, segment: &Arc<Segment>) -> usize {
        let spans = self.spans.len();
        self.spans.retain(|span| !Arc::ptr_eq(&span.segment, segment));
        if self.spans.len() == spans {
            return 0;
        }
        let first = self.spans.front().map_or(u64::MAX, |span| span.first);
        let mut freed = size_of::<Span>();
        self.workers.retain(|id, worker| {
            let gone = worker.last < first;
            freed += usize::from(gone) * (worker_cost(id) + sessions_cost(&worker.sessions));
            !gone
        });
        freed
    }

    /// What is known of the task, whose id is `task`.
    pub(super) fn summary(&self, task: TaskId) -> Option<TaskSummary> {
        let (first, last) = (self.spans.front()?, self.spans.back()?);
        Some(TaskSummary {
            task,
            first_offset: Offset(first.first),
            last_offset: Offset(last.last),
            first_line: first.first_line,
            last_line: last.end_line() - 1,
            bytes: self.spans.iter().map(|span| span.bytes).sum(),
            lost_lines: self.lost_lines,
            first_time_ms: first.first_time_ms,
            last_time_ms: last.last_time_ms,
            workers: self.worker_summaries(),
        })
    }

    fn worker_summaries(&self) -> Vec<WorkerSummary> {
        let mut workers: Vec<_> = self.workers.iter().collect();
        workers.sort_unstable_by_key(|(_, worker)| worker.ordinal);
        let summary = |(id, worker): (&WorkerId, &Worker)| WorkerSummary {
            worker: id.clone(),
            lines: worker.lines,
            state: worker.state.map(|(state, _)| state),
            state_offset: worker.state.map(|(_, offset)| Offset(offset)),
        };
        workers.into_iter().map(summary).collect()
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
        let workers = here.map(|(id, worker)| WorkerRecord {
            ordinal: worker.ordinal,
            worker: id.as_str(),
            lines: worker.lines,
            state: worker.state,
            last: worker.last,
            sessions: worker.sessions.iter().map(|(id, seq)| (&**id, *seq)).collect(),
        });
        Some(TaskRecord {
            task: task.as_str(),
            first: span.first,
            last: span.last,
            first_line: span.first_line,
            lines: span.lines,
            bytes: span.bytes,
            lost_lines: self.lost_lines,
            first_time_ms: span.first_time_ms,
            last_time_ms: span.last_time_ms,
            previous: span.previous,
            index,
            workers: workers.collect(),
        })
    }
}

impl Worker {
    fn new(ordinal: u32) -> Self {
        Self { ordinal, lines: 0, state: None, last: 0, sessions: Vec::new() }
    }

    /// Notes a session's last number; returns the bytes it added.
    fn note_session(&mut self, session: &str, seq: u64) -> usize {
        if let Some(at) = self.sessions.iter().position(|(id, _)| **id == *session) {
            let (id, known) = self.sessions.remove(at);
            self.sessions.push((id, known.max(seq)));
            return 0;
        }
        let mut freed = 0;
        if self.sessions.len() == MAX_SESSIONS_PER_WORKER {
            freed = session_cost(&self.sessions.remove(0).0);
        }
        self.sessions.push((session.into(), seq));
        session_cost(session).saturating_sub(freed)
    }
}

/// About what a task without spans and workers takes, in bytes.
pub(super) fn task_cost(id: &TaskId) -> usize {
    ROW_COST_BYTES + size_of::<(TaskId, Task)>() + id.as_str().len()
}

fn worker_cost(id: &WorkerId) -> usize {
    ROW_COST_BYTES + size_of::<(WorkerId, Worker)>() + id.as_str().len()
}

fn session_cost(id: &str) -> usize {
    size_of::<(Arc<str>, u64)>() + 16 + id.len()
}

fn sessions_cost(sessions: &[(Arc<str>, u64)]) -> usize {
    sessions.iter().map(|(id, _)| session_cost(id)).sum()
}
