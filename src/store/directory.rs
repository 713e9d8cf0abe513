//! What is known in memory: the tasks, where their entries stand, and the segments.
//!
//! The committer changes it, after each commit and under one short lock; readers look chunk_refs up
//! in it and then read the files without holding it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::cursors::Cursors;
use super::footer::TaskRecord;
use super::index::{ChunkRef, IndexAt};
use super::stats::RunStats;
use super::task::{Span, Task, task_cost};
use crate::domain::{Block, IdMap, Offset, TaskId, TaskSummary};

/// The index in store order has about one chunk in this many bytes.
const SPARSE_INDEX_BYTES: u64 = 64 * 1024;

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

/// One committed chunk: where it stands, its block, and the task's entry before it.
#[derive(Debug)]
pub(super) struct CommittedChunk<'a> {
    pub(super) block: &'a Block,
    pub(super) previous: u64,
    /// `None` where the store has no files.
    pub(super) at: Option<ChunkRef>,
}

/// What is known in memory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) tasks: IdMap<TaskId, Task>,
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
    /// How far pulled sources have been read.
    pub(super) cursors: Cursors,
}

impl Directory {
    pub(super) fn new() -> Self {
        Self {
            tasks: IdMap::default(),
            segments: VecDeque::new(),
            tail: Offset::FIRST.0,
            active_end: 0,
            sparse: Vec::new(),
            bytes: 0,
            cursors: Cursors::default(),
        }
    }

    /// The segment that takes entries.
    pub(super) fn active(&self) -> &Arc<Segment> {
        self.segments.back().expect("a store has an active segment from its opening on")
    }

    /// The first offset that may still be kept.
    pub(super) fn log_start_offset(&self) -> u64 {
        self.segments.front().map_or(self.tail, |segment| segment.base)
    }

    /// Begins a new active segment, whose chunks will begin at `position`.
    pub(super) fn begin_segment(&mut self, segment: Arc<Segment>, position: u64) {
        self.segments.push_back(segment);
        self.active_end = position;
        self.sparse.clear();
    }

    /// Takes a committed chunk in, whose runs say `stats`.
    pub(super) fn place<'a>(
        &mut self,
        chunk: &CommittedChunk<'_>,
        stats: impl IntoIterator<Item = RunStats<'a>>,
    ) {
        if let Some(at) = chunk.at {
            self.active_end = at.position + u64::from(at.bytes);
            put_sparse(&mut self.sparse, at);
        }
        self.tail = chunk.block.end().0;
        let active = self.active().clone();
        let id = &chunk.block.task;
        let task = match self.tasks.get_mut(id) {
            Some(task) => task,
            None => {
                self.bytes += task_cost(id);
                self.tasks.entry(id.clone()).or_default()
            }
        };
        self.bytes += task.extend_span(&active, chunk);
        task.chunks.extend(chunk.at);
        for run in stats {
            self.bytes += task.note_run(&run);
            task.lost_lines += run.stats.lost_lines;
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
