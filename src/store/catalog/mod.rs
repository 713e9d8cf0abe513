//! What is known in memory: the tasks, where their entries stand, and the segments.
//!
//! The committer changes it, after each commit and under one short lock; readers locate
//! chunks in it and then read the files without holding it.

mod committed;
mod segment;
mod stats;
mod task;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{IdMap, Offset, TaskId, TaskSummary};
use crate::store::format::{
    ChecksumSeed, ChunkRef, Cursors, FilePosition, FooterBuilder, IndexAt, LastCommit,
    SealedSegment, TaskRecord,
};

pub(super) use committed::CommittedChunk;
pub(super) use segment::Segment;
pub(super) use stats::{RecordStats, RunStats};
pub(super) use task::{Span, Task};

use task::task_cost;

/// The index in store order has about one chunk in this many bytes.
const SPARSE_INDEX_BYTES: usize = 64 * 1024;

/// Where a task's index stands in the footer of a segment.
#[derive(Debug)]
pub(in crate::store) struct TaskIndex {
    pub(in crate::store) task: TaskId,
    pub(in crate::store) at: IndexAt,
}

/// The active segment as its footer ends it.
#[derive(Debug)]
pub(in crate::store) struct SegmentFooter {
    pub(in crate::store) sealed: SealedSegment,
    pub(in crate::store) indexes: Vec<TaskIndex>,
    /// The footer, as it is written.
    pub(in crate::store) bytes: Vec<u8>,
}

/// The active segment's end, and the segment after it.
#[derive(Debug)]
pub(in crate::store) struct Sealing {
    pub(in crate::store) sealed: SealedSegment,
    pub(in crate::store) indexes: Vec<TaskIndex>,
    pub(in crate::store) next: Arc<Segment>,
    /// Where the next segment's chunks will begin.
    pub(in crate::store) first_chunk: FilePosition,
}

/// What is known in memory.
#[derive(Debug)]
pub(in crate::store) struct Catalog {
    pub(in crate::store) tasks: IdMap<TaskId, Task>,
    /// Oldest first; the last one is the active one.
    pub(in crate::store) segments: VecDeque<Arc<Segment>>,
    /// The offset that the next entry will get.
    pub(in crate::store) tail: Offset,
    /// Where the committed chunks of the active segment end.
    pub(in crate::store) active_end: FilePosition,
    /// The active segment's index in store order.
    pub(in crate::store) sparse: Vec<ChunkRef>,
    /// About what tasks, spans and workers take, in bytes.
    pub(in crate::store) bytes: usize,
    /// How far pulled sources have been read.
    pub(in crate::store) cursors: Cursors,
}

impl Catalog {
    pub(in crate::store) fn new() -> Self {
        Self {
            tasks: IdMap::default(),
            segments: VecDeque::new(),
            tail: Offset::FIRST,
            active_end: FilePosition(0),
            sparse: Vec::new(),
            bytes: 0,
            cursors: Cursors::default(),
        }
    }

    /// The segment that takes entries.
    pub(in crate::store) fn active(&self) -> &Arc<Segment> {
        self.segments.back().expect("a store has an active segment from its opening on")
    }

    /// The first offset that may still be kept.
    pub(in crate::store) fn log_start_offset(&self) -> Offset {
        self.segments.front().map_or(self.tail, |segment| segment.base)
    }

    /// Whether the active segment has entries.
    pub(in crate::store) fn active_has_entries(&self) -> bool {
        self.tail > self.active().base
    }

    /// Bytes of all segments' files.
    pub(in crate::store) fn disk_bytes(&self) -> u64 {
        let sealed = self.segments.iter().filter_map(|segment| segment.sealed.get());
        sealed.map(|sealed| sealed.file_bytes).sum::<u64>() + self.active_end.0
    }

    /// Begins a new active segment, whose chunks will begin at `first_chunk`.
    pub(in crate::store) fn begin_segment(
        &mut self,
        segment: Arc<Segment>,
        first_chunk: FilePosition,
    ) {
        self.segments.push_back(segment);
        self.active_end = first_chunk;
        self.sparse.clear();
    }

    /// Takes a committed chunk in, whose runs have `stats`.
    pub(in crate::store) fn add_chunk<'a>(
        &mut self,
        chunk: &CommittedChunk<'_>,
        stats: impl IntoIterator<Item = RunStats<'a>>,
    ) {
        if let Some(location) = chunk.location {
            self.active_end = location.end_position();
            add_sparse(&mut self.sparse, location);
        }
        self.tail = chunk.block.end();
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
        task.chunks.extend(chunk.location);
        for run in stats {
            self.bytes += task.note_run(&run);
            task.lost_lines += run.records.lost_lines;
        }
    }

    /// Takes in what a sealed segment's footer says of one task; `None` where it says nonsense.
    pub(in crate::store) fn add_sealed_task(
        &mut self,
        segment: &Arc<Segment>,
        record: &TaskRecord<'_>,
    ) -> Option<()> {
        let id = TaskId::new(record.task).ok()?;
        if !self.tasks.contains_key(&id) {
            self.bytes += task_cost(&id);
        }
        let task = self.tasks.entry(id).or_default();
        task.spans.push_back(Span::of_record(segment, record));
        task.lost_lines = record.lost_lines;
        self.bytes += size_of::<Span>();
        for worker in &record.workers {
            self.bytes += task.restore_worker(worker)?;
        }
        Some(())
    }

    /// What the active segment will be once sealed where its chunks end, and its footer.
    pub(in crate::store) fn footer(
        &self,
        seed: ChecksumSeed,
        data_end: FilePosition,
        last: LastCommit,
    ) -> SegmentFooter {
        let active = self.active();
        let mut footer = FooterBuilder::new(seed, data_end);
        let mut indexes = Vec::new();
        let mut records = Vec::new();
        for (id, task) in self.tasks.iter().filter(|(_, task)| !task.chunks.is_empty()) {
            let at = footer.put_index(&task.chunks);
            indexes.push(TaskIndex { task: id.clone(), at });
            records.extend(task.record(id, active, at));
        }
        let (sealed, bytes) = footer.finish(&self.sparse, &records, &self.cursors, self.tail, last);
        SegmentFooter { sealed, indexes, bytes }
    }

    /// Ends the active segment and begins the next.
    pub(in crate::store) fn seal(&mut self, sealing: Sealing) {
        let active = self.active().clone();
        for index in &sealing.indexes {
            if let Some(task) = self.tasks.get_mut(&index.task) {
                task.chunks = Vec::new();
                task.spans.back_mut().expect("a task has a span").index = Some(index.at);
            }
        }
        active.sealed.set(sealing.sealed).expect("a segment is sealed once");
        self.begin_segment(sealing.next, sealing.first_chunk);
    }

    /// Forgets the oldest segment, the tasks that have nothing else, and the workers that have
    /// nothing later.
    pub(in crate::store) fn forget_oldest(&mut self) -> Option<Arc<Segment>> {
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
    pub(in crate::store) fn summary(&self, id: &TaskId) -> Option<TaskSummary> {
        self.tasks.get(id).and_then(|task| task.summary(id.clone()))
    }

    /// What is known of every task, the one with the newest entry first.
    pub(in crate::store) fn summaries(&self) -> Vec<TaskSummary> {
        let all = self.tasks.iter().filter_map(|(id, task)| task.summary(id.clone()));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|task| std::cmp::Reverse(task.last_offset));
        all
    }
}

/// Adds `chunk` to an index in store order where the last indexed one is far enough back.
fn add_sparse(sparse: &mut Vec<ChunkRef>, chunk: ChunkRef) {
    let is_far = |last: &ChunkRef| chunk.position >= last.position + SPARSE_INDEX_BYTES;
    if sparse.last().is_none_or(is_far) {
        sparse.push(chunk);
    }
}
