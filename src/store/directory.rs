//! What is known in memory: the tasks, where their entries stand, and the segments.
//!
//! The committer changes it, after each commit and under one short lock; readers look places up
//! in it and then read the files without holding it.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::facts::Facts;
use super::footer::{TaskRecord, WorkerRecord};
use super::index::{ChunkRef, IndexAt};
use crate::domain::{Block, Offset, TaskId, TaskSummary, WorkerId, WorkerState, WorkerSummary};

/// Sessions remembered per worker; a producer has one, and a new one when it restarts.
const MAX_SESSIONS_PER_WORKER: usize = 4;

/// The index in store order has about one chunk in this many bytes.
const SPARSE_INDEX_BYTES: u64 = 64 * 1024;

/// What maps, allocations and the like add to a row, in bytes; a cautious guess.
const ROW_COST_BYTES: usize = 64;

/// One segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// The offset that its first entry has, or would have.
    pub(super) base: u64,
    /// Its file; empty where the store has no files.
    pub(super) path: PathBuf,
    /// Set once it takes no more entries.
    pub(super) sealed: OnceLock<Sealed>,
}

impl Segment {
    pub(super) fn new(base: u64, path: PathBuf) -> Arc<Self> {
        Arc::new(Self { base, path, sealed: OnceLock::new() })
    }
}

/// What is known of a sealed segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed {
    /// Where its chunks end.
    pub(super) data_end: u64,
    /// The offset after its last entry.
    pub(super) end_offset: u64,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    /// When its last entry was committed.
    pub(super) last_time_ms: u64,
    /// Its index in store order.
    pub(super) sparse: IndexAt,
}

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
    lost_lines: u64,
    workers: HashMap<WorkerId, Worker>,
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

/// One committed chunk: where it stands, what it holds, and the task's entry before it.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) block: &'a Block,
    pub(super) facts: &'a Facts<'a>,
    pub(super) previous: u64,
    /// `None` where the store has no files.
    pub(super) at: Option<ChunkRef>,
}

/// What is known in memory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) tasks: HashMap<TaskId, Task>,
    /// Oldest first; the last one is the active one.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// The offset that the next entry will get.
    pub(super) tail: u64,
    /// Where the committed chunks of the active segment end.
    pub(super) active_end: u64,
    /// The active segment's index in store order.
    pub(super) sparse: Vec<ChunkRef>,
    /// About what tasks, spans and workers take, in bytes.
    pub(super) bytes: usize,
}

impl Directory {
    pub(super) fn new() -> Self {
        Self {
            tasks: HashMap::new(),
            segments: VecDeque::new(),
            tail: Offset::FIRST.0,
            active_end: 0,
            sparse: Vec::new(),
            bytes: 0,
        }
    }

    /// The segment that takes entries.
    pub(super) fn active(&self) -> &Arc<Segment> {
        self.segments.back().expect("a store has an active segment from its opening on")
    }

    /// The first offset that may still be kept.
    pub(super) fn horizon(&self) -> u64 {
        self.segments.front().map_or(self.tail, |segment| segment.base)
    }

    /// Begins a new active segment, whose chunks will begin at `position`.
    pub(super) fn begin_segment(&mut self, segment: Arc<Segment>, position: u64) {
        self.segments.push_back(segment);
        self.active_end = position;
        self.sparse.clear();
    }

    /// Takes a committed chunk in.
    pub(super) fn place(&mut self, chunk: &Placed<'_>) {
        if let Some(at) = chunk.at {
            self.active_end = at.position + u64::from(at.bytes);
            put_sparse(&mut self.sparse, at);
        }
        self.tail = chunk.block.end().0;
        let active = self.active().clone();
        if !self.tasks.contains_key(&chunk.block.task) {
            self.bytes += task_cost(&chunk.block.task);
        }
        let task = self.tasks.entry(chunk.block.task.clone()).or_default();
        self.bytes += task.extend_span(&active, chunk);
        task.chunks.extend(chunk.at);
        for run in &chunk.facts.runs {
            self.bytes += task.note_run(run.worker, run);
            task.lost_lines += run.lost_lines;
        }
    }

    /// Takes in what a sealed segment's footer says of one task; `None` where it says nonsense.
    pub(super) fn place_sealed(
        &mut self,
        segment: &Arc<Segment>,
        record: &TaskRecord<'_>,
    ) -> Option<()> {
        let id = TaskId::new(record.task).ok()?;
        if !self.tasks.contains_key(&id) {
            self.bytes += task_cost(&id);
        }
        let task = self.tasks.entry(id).or_default();
        task.spans.push_back(Span {
            segment: segment.clone(),
            first: record.first,
            last: record.last,
            first_line: record.first_line,
            lines: record.lines,
            bytes: record.bytes,
            first_time_ms: record.first_time_ms,
            last_time_ms: record.last_time_ms,
            previous: record.previous,
            index: Some(record.index),
        });
        task.lost_lines = record.lost_lines;
        self.bytes += size_of::<Span>();
        for worker in &record.workers {
            self.bytes += task.restore_worker(worker)?;
        }
        Some(())
    }

    /// Marks the active segment sealed; `indexes` has where each of its tasks' index stands.
    pub(super) fn seal_active(&mut self, sealed: Sealed, indexes: &[(TaskId, IndexAt)]) {
        let active = self.active().clone();
        for (id, index) in indexes {
            if let Some(task) = self.tasks.get_mut(id) {
                task.chunks = Vec::new();
                task.spans.back_mut().expect("a task has a span").index = Some(*index);
            }
        }
        active.sealed.set(sealed).expect("a segment is sealed once");
    }

    /// Forgets the oldest segment, the tasks that have nothing else, and the workers that have
    /// nothing later.
    pub(super) fn forget_oldest(&mut self) -> Option<Arc<Segment>> {
        let segment = self.segments.pop_front()?;
        let mut freed = 0;
        self.tasks.retain(|id, task| {
            freed += task.forget(&segment);
            let gone = task.spans.is_empty();
            freed += usize::from(gone) * task_cost(id);
            !gone
        });
        self.bytes = self.bytes.saturating_sub(freed);
        Some(segment)
    }

    /// What is known of `id`.
    pub(super) fn summary(&self, id: &TaskId) -> Option<TaskSummary> {
        self.tasks.get(id).and_then(|task| task.summary(id.clone()))
    }

    /// What is known of every task, the one with the newest entry first.
    pub(super) fn summaries(&self) -> Vec<TaskSummary> {
        let all = self.tasks.iter().filter_map(|(id, task)| task.summary(id.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|task| std::cmp::Reverse(task.last_offset));
        all
    }
}

/// Adds `chunk` to an index in store order where the last indexed one is far enough back.
fn put_sparse(sparse: &mut Vec<ChunkRef>, chunk: ChunkRef) {
    let far = |last: &ChunkRef| chunk.position >= last.position + SPARSE_INDEX_BYTES;
    if sparse.last().is_none_or(far) {
        sparse.push(chunk);
    }
}

impl Task {
    /// Grows the span of the active segment by `chunk`; returns the bytes it added.
    fn extend_span(&mut self, active: &Arc<Segment>, chunk: &Placed<'_>) -> usize {
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
    fn note_run(&mut self, id: &str, run: &super::facts::RunFacts<'_>) -> usize {
        let mut added = 0;
        if !self.workers.contains_key(id) {
            let Ok(id) = WorkerId::new(id) else { return 0 };
            added += worker_cost(&id);
            let ordinal = self.next_ordinal;
            self.next_ordinal += 1;
            let worker = Worker { ordinal, lines: 0, state: None, last: 0, sessions: Vec::new() };
            self.workers.insert(id, worker);
        }
        let Some(worker) = self.workers.get_mut(id) else { return added };
        worker.lines += run.lines;
        worker.last = run.last;
        worker.state = run.state.or(worker.state);
        added + run.session.map_or(0, |(session, seq)| worker.note_session(session, seq))
    }

    /// Takes a worker in as a footer has it; returns the bytes it added.
    fn restore_worker(&mut self, record: &WorkerRecord<'_>) -> Option<usize> {
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
    fn forget(&mut self, segment: &Arc<Segment>) -> usize {
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

    fn summary(&self, task: TaskId) -> Option<TaskSummary> {
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

fn task_cost(id: &TaskId) -> usize {
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
