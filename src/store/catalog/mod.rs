//! What is known in memory: the segments, and the tasks that are resident: those with entries in
//! the active segment or in one that the task index has not taken in. All others are in the index.
//!
//! The committer changes it, after each commit and under one short lock; readers locate
//! chunks in it and then read the files without holding it.

mod committed;
mod marks;
mod notified;
mod residents;
mod segment;
mod stats;
mod task;
mod unindexed;
mod worker;
mod workers;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::domain::{Offset, TaskId, TaskSummary, WorkerId};
use crate::store::format::{
    ChecksumSeed, ChunkRef, Cursors, FilePosition, FooterBuilder, FooterTasks, IndexAt, LastCommit,
    Millis, SealedSegment, TaskFacts, TaskRecord, Tombstone, Trim, encode_index, first_position,
};
use crate::store::task_index::IndexedTask;

pub(super) use committed::CommittedChunk;
pub(super) use residents::ResidentTasks;
pub(super) use segment::Segment;
pub(super) use stats::{RecordStats, RunStats};
pub(super) use task::{Span, Task, kept_bytes};
pub(super) use unindexed::Unindexed;
pub(super) use worker::Worker;

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
    pub(in crate::store) tasks: ResidentTasks,
    /// Oldest first; the last one is the active one.
    pub(in crate::store) segments: VecDeque<Arc<Segment>>,
    /// The offset that the next entry will get.
    pub(in crate::store) tail: Offset,
    /// Where the committed chunks of the active segment end.
    pub(in crate::store) active_end: FilePosition,
    /// The active segment's index in store order.
    pub(in crate::store) sparse: Vec<ChunkRef>,
    /// About what resident tasks take, in bytes.
    pub(in crate::store) bytes: usize,
    /// How far pulled sources have been read.
    pub(in crate::store) cursors: Cursors,
    /// Deletions that the index does not know of: what a task has before this offset is deleted. While
    /// a task is in here, what the index has of it does not count: all that came after the deletion is in
    /// the catalog. Readers keep what they began with.
    pub(in crate::store) deletions: Arc<Unindexed<Offset>>,
    /// Trims that the index does not know of.
    pub(in crate::store) trims: Arc<Unindexed<Trim>>,
    /// How many bytes a task may keep.
    pub(in crate::store) task_bytes: Option<u64>,
    /// Tasks that keep more.
    over_limit: HashSet<TaskId>,
    /// When the commit that is being taken in was made; `None` for one of an earlier process.
    pub(in crate::store) committed_at: Option<Instant>,
}

impl Catalog {
    pub(in crate::store) fn new() -> Self {
        Self {
            tasks: ResidentTasks::default(),
            segments: VecDeque::new(),
            tail: Offset::FIRST,
            active_end: FilePosition(0),
            sparse: Vec::new(),
            bytes: 0,
            cursors: Cursors::default(),
            deletions: Arc::default(),
            trims: Arc::default(),
            task_bytes: None,
            over_limit: HashSet::new(),
            committed_at: None,
        }
    }

    /// The same with a limit on each task's bytes.
    pub(in crate::store) fn with_limit(self, task_bytes: Option<u64>) -> Self {
        Self { task_bytes, ..self }
    }

    /// The segment that takes entries.
    pub(in crate::store) fn active(&self) -> &Arc<Segment> {
        self.segments.back().expect("a store has an active segment from its opening on")
    }

    /// The first offset that may still be kept.
    pub(in crate::store) fn log_start_offset(&self) -> Offset {
        self.segments.front().map_or(self.tail, |segment| segment.base)
    }

    /// When the newest entry was committed, as far as that is known.
    pub(in crate::store) fn newest_time(&self) -> Option<Millis> {
        let resident = self.tasks.iter().filter_map(|(_, task)| task.last_time()).max();
        let sealed = self.segments.iter().rev().find_map(|segment| segment.sealed.get());
        resident.max(sealed.map(|sealed| sealed.last_time))
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
        if !self.tasks.contains(id) {
            self.bytes += task_cost(id);
            let deleted_to = self.deletions.of(id);
            self.tasks.insert(id, Task { deleted_to, ..Task::default() });
        }
        let committed_at = self.committed_at;
        let limit = self.task_bytes;
        let added = self.tasks.extend(id, |task| {
            task.last_commit = committed_at;
            let added = task.extend_span(&active, chunk) + task.add_chunk(chunk.location);
            let added = added + limit.map_or(0, |limit| task.add_marks(limit, chunk.block));
            stats.into_iter().fold(added, |added, run| added + task.note_run(&run))
        });
        self.bytes += added.unwrap_or_default();
        if limit.is_some_and(|limit| self.tasks.get(id).is_some_and(|task| task.is_over(limit))) {
            self.over_limit.insert(id.clone());
        }
    }

    /// What is to go of tasks that keep more than they may; each is told once, until it gets another
    /// entry.
    pub(in crate::store) fn take_due_trims(&mut self) -> Vec<(TaskId, Trim)> {
        let Some(limit) = self.task_bytes else { return Vec::new() };
        let over = std::mem::take(&mut self.over_limit).into_iter();
        over.filter_map(|id| self.tasks.get(&id)?.due_trim(limit).map(|trim| (id, trim))).collect()
    }

    /// Hides the middle of a task: the active segment got its trim.
    pub(in crate::store) fn trim(&mut self, id: &TaskId, trim: Trim) {
        let segment = self.active().base;
        self.bytes += Arc::make_mut(&mut self.trims).insert(id, trim, segment);
        let freed = self.tasks.get_mut(id).map(|task| task.trim(trim));
        self.bytes = self.bytes.saturating_sub(freed.unwrap_or_default());
    }

    /// Deletes what `task` has before the tail: the active segment got its tombstone.
    pub(in crate::store) fn delete(&mut self, task: &TaskId) {
        if let Some(known) = self.tasks.remove(task) {
            self.bytes = self.bytes.saturating_sub(known.cost(task));
        }
        if self.trims.of(task).is_some() {
            let freed = Arc::make_mut(&mut self.trims).remove(task);
            self.bytes = self.bytes.saturating_sub(freed);
        }
        self.note_deletion(task, self.tail, self.active().base);
    }

    fn note_deletion(&mut self, task: &TaskId, end: Offset, segment: Offset) {
        self.bytes += Arc::make_mut(&mut self.deletions).insert(task, end, segment);
    }

    /// Forgets deletions and trims in segments that begin before `end`.
    fn forget_facts(&mut self, end: Offset) {
        let Self { deletions, trims, bytes, .. } = self;
        *bytes = bytes.saturating_sub(forget_before(deletions, end) + forget_before(trims, end));
    }

    /// Makes a task resident that the index has; `None` where nothing of it is left.
    pub(in crate::store) fn add_indexed(
        &mut self,
        id: &TaskId,
        indexed: &IndexedTask,
    ) -> Option<()> {
        if let Some(deletion) = &indexed.deletion {
            self.note_deletion(id, deletion.end, deletion.segment);
        }
        let mut task = Task::of_index(indexed, |base| self.segment(base).cloned())?;
        // The last one counts.
        task.trim = self.trims.of(id).or(task.trim);
        self.task_bytes.iter().for_each(|limit| task.restore_marks(*limit));
        self.bytes += task.cost(id);
        self.tasks.insert(id, task);
        Some(())
    }

    /// Whether nothing that the index has of `task` counts.
    pub(in crate::store) fn has_all_of(&self, task: &TaskId) -> bool {
        self.tasks.contains(task) || self.deletions.of(task).is_some()
    }

    /// A worker of a resident task.
    pub(in crate::store) fn worker(&self, task: &TaskId, worker: &WorkerId) -> Option<&Worker> {
        self.tasks.get(task)?.workers.get(worker.as_str())
    }

    /// The segment that begins with `base`, where it is still there.
    pub(in crate::store) fn segment(&self, base: Offset) -> Option<&Arc<Segment>> {
        let at = self.segments.binary_search_by_key(&base, |segment| segment.base).ok()?;
        self.segments.get(at)
    }

    /// Lets resident tasks go that the index has, which has all segments that begin before `end`.
    pub(in crate::store) fn evict_indexed(&mut self, end: Offset) {
        let mut freed = 0;
        self.tasks.retain(|id, task| {
            // One that is still to be trimmed stays until then.
            let is_indexed = task.is_indexed(end) && !self.over_limit.contains(id);
            if is_indexed {
                freed += task.cost(id);
            }
            !is_indexed
        });
        self.bytes = self.bytes.saturating_sub(freed);
        self.forget_facts(end);
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
        let (mut records, mut facts) = (Vec::new(), Vec::new());
        for (id, task) in self.tasks.iter().filter(|(_, task)| !task.chunks.is_empty()) {
            let at = footer.put_index(&task.chunks);
            indexes.push(TaskIndex { task: id.clone(), at });
            records.extend(task.record(id, active, at));
            facts.extend(task.facts(id, active));
        }
        let tasks = self.footer_tasks(active.base, records, facts);
        let (sealed, bytes) = footer.finish(&self.sparse, &tasks, self.tail, last);
        SegmentFooter { sealed, indexes, bytes }
    }

    /// What the footer of the segment that begins with `segment` says of tasks, whose records are `records`.
    pub(in crate::store) fn footer_tasks<'a>(
        &'a self,
        segment: Offset,
        records: Vec<TaskRecord<'a>>,
        facts: Vec<TaskFacts<'a>>,
    ) -> FooterTasks<'a> {
        let tombstones = self.deletions.in_segment(segment);
        FooterTasks {
            records,
            cursors: self.cursors.clone(),
            tombstones: tombstones.map(|(task, end)| Tombstone { task, end }).collect(),
            trims: self.trims.in_segment(segment).collect(),
            facts,
        }
    }

    /// Whether `bytes`, which stand where the active segment's chunks end, are how its footer begins: the
    /// tasks' indexes, in any order.
    pub(in crate::store) fn begins_footer(&self, data_end: FilePosition, bytes: &[u8]) -> bool {
        if data_end != self.active_end {
            return false;
        }
        let tasks = self.tasks.iter().filter_map(|(_, task)| Some((task.chunks.first()?, task)));
        let by_start: HashMap<_, _> = tasks.map(|(first, task)| (first.position, task)).collect();
        let (mut rest, mut seen) = (bytes, 0);
        while !rest.is_empty() && seen < by_start.len() {
            let next = first_position(rest).and_then(|position| by_start.get(&position));
            let Some(task) = next else { return is_start_of_any(&by_start, rest) };
            let index = encode_index(&task.chunks);
            if !rest.starts_with(&index) {
                return index.starts_with(rest);
            }
            rest = &rest[index.len()..];
            seen += 1;
        }
        seen > 0
    }

    /// Ends the active segment and begins the next.
    pub(in crate::store) fn seal(&mut self, sealing: Sealing) {
        let active = self.active().clone();
        for index in &sealing.indexes {
            if let Some(task) = self.tasks.get_mut(&index.task) {
                self.bytes = self.bytes.saturating_sub(task.chunks.len() * size_of::<ChunkRef>());
                task.chunks = Vec::new();
                task.spans.last_mut().expect("a task has a span").index = Some(index.at);
            }
        }
        active.sealed.set(sealing.sealed).expect("a segment is sealed once");
        self.begin_segment(sealing.next, sealing.first_chunk);
    }

    /// Forgets the oldest segment, the resident tasks that have nothing else, and of the others the
    /// workers that have nothing later.
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
        self.forget_facts(segment.base.next());
        Some(segment)
    }

    /// What is known about a resident task, with up to `workers` of its workers.
    pub(in crate::store) fn summary(&self, id: &TaskId, workers: usize) -> Option<TaskSummary> {
        self.tasks.get(id).and_then(|task| task.summary(id.clone(), workers))
    }
}

/// Forgets the facts in segments that begin before `end`; returns the bytes that this freed.
fn forget_before<T: Copy>(facts: &mut Arc<Unindexed<T>>, end: Offset) -> usize {
    if facts.has_before(end) { Arc::make_mut(facts).forget_before(end) } else { 0 }
}

/// Whether the few `bytes` are the start of a task's index.
fn is_start_of_any(by_start: &HashMap<FilePosition, &Task>, bytes: &[u8]) -> bool {
    bytes.len() < size_of::<ChunkRef>()
        && by_start.values().any(|task| encode_index(&task.chunks[..1]).starts_with(bytes))
}

/// Adds `chunk` to an index in store order where the last indexed one is far enough back.
pub(super) fn add_sparse(sparse: &mut Vec<ChunkRef>, chunk: ChunkRef) {
    let is_far = |last: &ChunkRef| chunk.position >= last.position + SPARSE_INDEX_BYTES;
    if sparse.last().is_none_or(is_far) {
        sparse.push(chunk);
    }
}
