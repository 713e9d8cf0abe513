//! Makes the blocks of one commit: groups runs by task, drops repeats, bounds chunks.

mod gap;
mod holes;
mod numbering;

use std::ops::Range;
use std::sync::Arc;

use gap::StagedGap;
use numbering::{Numbered, SessionNumbers};

use crate::domain::{
    Batch, Block, IdMap, Offset, ProducerSession, Records, Run, TaskId, encode_run,
    encoded_run_bytes,
};
use crate::store::catalog::{Catalog, CommittedChunk, RecordStats, RunStats, Task};
use crate::store::counters::KeptGaps;
use crate::store::format::{ChunkRef, Cursors, Millis};
use crate::store::log::Committed;

/// A chunk takes no further run once it has this many bytes of records, and longer runs are
/// split.
const CHUNK_BYTES: usize = 256 * 1024;

/// How many runs' space is kept from commit to commit.
const MAX_SPARE_RUNS: usize = 4096;

/// What one commit takes, and the blocks that it makes of it. Reused from commit to commit.
///
/// Runs stay where they arrived, chained by task, until the commit is over: nothing moves, and
/// what they say of their workers needs no copy of the ids. Only their records go at once.
#[derive(Debug, Default)]
pub(super) struct Staging {
    runs: Vec<StagedRun>,
    tasks: Vec<TaskRuns>,
    by_task: IdMap<TaskId, usize>,
    numbering: SessionNumbers,
    blocks: Vec<StagedBlock>,
    /// What the commit advances.
    cursors: Cursors,
    /// Its gaps.
    gaps: KeptGaps,
}

#[derive(Debug)]
struct StagedRun {
    run: Run,
    stats: RecordStats,
    /// The next run of the same task.
    next: Option<usize>,
}

/// The runs of one task; none where all were repeats.
#[derive(Debug, Default, Clone, Copy)]
struct TaskRuns {
    first: Option<usize>,
    last: Option<usize>,
}

/// Runs of one task that become one block.
#[derive(Debug, Clone, Copy)]
struct BlockRuns {
    first: usize,
    count: usize,
}

/// How much goes into one chunk.
struct ChunkSize {
    runs: usize,
    encoded_bytes: usize,
}

/// One chunk's block.
struct BuiltBlock {
    block: Block,
    runs: BlockRuns,
    /// The task's run after them.
    next: Option<usize>,
}

/// A block on its way to the disk.
#[derive(Debug)]
pub(in crate::store) struct StagedBlock {
    pub(in crate::store) block: Arc<Block>,
    /// The task's entry before it.
    pub(in crate::store) previous: Option<Offset>,
    /// Where it stands, once it is written to a file.
    pub(in crate::store) location: Option<ChunkRef>,
    runs: BlockRuns,
}

impl StagedBlock {
    /// The block as the catalog takes it in.
    pub(super) fn committed(&self) -> CommittedChunk<'_> {
        CommittedChunk { block: &self.block, previous: self.previous, location: self.location }
    }
}

impl Staging {
    /// Takes `batch` in; `known` has what earlier commits kept.
    pub(super) fn add(&mut self, batch: Batch, known: &Catalog) -> Committed {
        let mut committed = Committed { kept: 0, repeated: 0 };
        batch.cursor.into_iter().for_each(|cursor| self.cursors.advance(cursor));
        for run in batch.runs {
            let offered = run.records.count();
            let task = self.task_index(&run.task);
            let Numbered { run, with_gaps } = self.numbering.settle(task, run, known);
            let kept = run.records.count();
            committed.kept += kept;
            committed.repeated += offered - kept;
            if let Some(runs) = with_gaps {
                runs.into_iter().for_each(|run| self.push_whole(task, run));
            } else if kept > 0 {
                self.push_whole(task, run);
            }
        }
        committed
    }

    /// Takes a run in, in parts where it is too long for a chunk.
    fn push_whole(&mut self, task: usize, run: Run) {
        if let Some(gap) = StagedGap::of(&run) {
            self.gaps.note(&gap.reason, gap.lines);
        }
        if run.records.as_bytes().len() > CHUNK_BYTES {
            parts(&run).into_iter().for_each(|part| self.push(task, part));
        } else {
            self.push(task, run);
        }
    }

    /// The gaps that were taken in.
    pub(super) fn gaps(&self) -> KeptGaps {
        self.gaps
    }

    /// Whether nothing is taken in.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether the commit has something of `task`.
    pub(super) fn has(&self, task: &TaskId) -> bool {
        self.by_task.contains_key(task)
    }

    fn task_index(&mut self, task: &TaskId) -> usize {
        if let Some(&index) = self.by_task.get(task) {
            return index;
        }
        let index = self.tasks.len();
        self.by_task.insert(task.clone(), index);
        self.tasks.push(TaskRuns::default());
        index
    }

    fn push(&mut self, task: usize, run: Run) {
        let index = self.runs.len();
        self.runs.push(StagedRun { run, stats: RecordStats::default(), next: None });
        let of_task = &mut self.tasks[task];
        match of_task.last.replace(index) {
            Some(last) => self.runs[last].next = Some(index),
            None => of_task.first = Some(index),
        }
    }

    /// Makes the blocks of what was taken in, each task's together.
    pub(super) fn make_blocks(&mut self, known: &Catalog, time: Millis) {
        let mut base = known.tail;
        for index in 0..self.tasks.len() {
            let Some(first) = self.tasks[index].first else { continue };
            let task = known.tasks.get(&self.runs[first].run.task);
            let mut line = task.map_or(1, |task| task.next_line().0);
            let mut previous = task.and_then(Task::last);
            let mut rest = Some(first);
            while let Some(first) = rest {
                let BuiltBlock { block, runs, next } = self.make_block(first, base, line, time);
                base = block.end();
                line += u64::from(block.lines);
                rest = next;
                let last = block.last();
                let block = Arc::new(block);
                self.blocks.push(StagedBlock { block, previous, location: None, runs });
                previous = Some(last);
            }
        }
    }

    /// One chunk's block, from the run `first` on.
    fn make_block(&mut self, first: usize, base: Offset, line: u64, time: Millis) -> BuiltBlock {
        let ChunkSize { runs, encoded_bytes } = self.measure_chunk(first);
        // The exact capacity: sharing a payload that has more would cost an allocation.
        let mut payload = Vec::with_capacity(encoded_bytes);
        let (mut count, mut lines) = (0, 0);
        let mut next = Some(first);
        for _ in 0..runs {
            let Some(staged) = next.map(|index| &mut self.runs[index]) else { break };
            encode_run(&mut payload, &staged.run);
            let run_base = Offset(base.0 + u64::from(count));
            staged.stats = RecordStats::of(&staged.run.records, run_base);
            count += staged.run.records.count();
            // Freed here, so that the next payload can use the same memory.
            drop(std::mem::take(&mut staged.run.records));
            lines += staged.stats.lines as u32;
            next = staged.next;
        }
        let task = self.runs[first].run.task.clone();
        let block = Block {
            task,
            base,
            base_line: line,
            count,
            lines,
            time_ms: time.0,
            payload: payload.into(),
        };
        BuiltBlock { block, runs: BlockRuns { first, count: runs }, next }
    }

    /// How much from `first` on goes into one chunk.
    fn measure_chunk(&self, first: usize) -> ChunkSize {
        let (mut runs, mut record_bytes, mut encoded_bytes) = (0, 0, 0);
        for StagedRun { run, .. } in self.chain(first) {
            runs += 1;
            record_bytes += run.records.as_bytes().len();
            encoded_bytes += encoded_run_bytes(run);
            if record_bytes >= CHUNK_BYTES {
                break;
            }
        }
        ChunkSize { runs, encoded_bytes }
    }

    fn chain(&self, first: usize) -> impl Iterator<Item = &StagedRun> {
        let staged = |index: usize| &self.runs[index];
        std::iter::successors(Some(staged(first)), move |run| run.next.map(staged))
    }

    /// What the commit writes: the blocks that were made, and the cursors that it advances.
    pub(super) fn pending_write(&mut self) -> (&mut [StagedBlock], &Cursors) {
        (&mut self.blocks, &self.cursors)
    }

    /// The blocks that were made.
    pub(super) fn staged_blocks(&self) -> &[StagedBlock] {
        &self.blocks
    }

    /// The cursors that the commit advances.
    pub(super) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// What the runs of a staged block say.
    pub(super) fn stats(&self, staged: &StagedBlock) -> impl Iterator<Item = RunStats<'_>> {
        let runs = self.chain(staged.runs.first).take(staged.runs.count);
        runs.map(|staged| RunStats::of_run(&staged.run, staged.stats))
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.runs.shrink_to(MAX_SPARE_RUNS);
        self.tasks.clear();
        self.by_task.clear();
        self.numbering.clear();
        self.blocks.clear();
        self.cursors = Cursors::default();
        self.gaps = KeptGaps::default();
    }
}

/// A run that is too long for a chunk, in parts.
fn parts(run: &Run) -> Vec<Run> {
    let mut parts = Vec::new();
    let mut records = Records::default();
    let mut begin = 0;
    for (end, (kind, body)) in (1..).zip(run.records.iter()) {
        records.push(kind, body);
        let is_last = end == run.records.count() as usize;
        if is_last || records.as_bytes().len() >= CHUNK_BYTES {
            parts.push(part(run, begin..end, std::mem::take(&mut records)));
            begin = end;
        }
    }
    parts
}

/// The part of `run` that has its records in `range`, which are `records`.
fn part(run: &Run, range: Range<usize>, records: Records) -> Run {
    let session = run.session.as_ref();
    let session = session.map(|session| ProducerSession {
        id: session.id.clone(),
        seqs: session.seqs[range].into(),
    });
    Run { task: run.task.clone(), worker: run.worker.clone(), session, records }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Entry, Kind, WorkerId, WorkerState};

    /// Task, worker, whether numbered, and the records' kinds and sizes.
    type Spec = (u8, u8, bool, Vec<(u8, usize)>);

    type SeqsOf = std::collections::HashMap<(u8, u8), u64>;

    fn specs() -> impl Strategy<Value = Vec<Spec>> {
        let size = prop_oneof![12 => 0..200_usize, 1 => 100_000..300_000_usize];
        let records = prop::collection::vec((0..4_u8, size), 0..6);
        prop::collection::vec((0..3_u8, 0..3_u8, any::<bool>(), records), 1..12)
    }

    /// Each worker's numbers leave none out.
    fn run((task, worker, is_numbered, kinds): &Spec, seqs_of: &mut SeqsOf) -> Run {
        let seq = seqs_of.entry((*task, *worker)).or_default();
        let mut records = Records::default();
        let mut seqs = Vec::new();
        for (kind, size) in kinds {
            let kind = match kind {
                0 | 1 => Kind::Log,
                2 => Kind::Gap,
                _ => Kind::Status(WorkerState::Running),
            };
            let body = format!("\"lines\":{size},\"text\":\"{}\"}}", "x".repeat(*size));
            records.push(kind, body.as_bytes());
            *seq += u64::from(*is_numbered);
            seqs.push(*seq);
        }
        let session = is_numbered.then(|| ProducerSession { id: "s".into(), seqs });
        let task = TaskId::new(&format!("t{task}")).unwrap();
        let worker = WorkerId::new(&format!("w{worker}")).unwrap();
        Run { task, worker, session, records }
    }

    proptest! {
        #[test]
        fn blocks_hold_what_was_added_and_their_stats_are_those_of_a_reader(specs in specs()) {
            let known = Catalog::new();
            let mut staging = Staging::default();
            let mut seqs_of = SeqsOf::new();
            let runs: Vec<_> = specs.iter().map(|spec| run(spec, &mut seqs_of)).collect();
            let offered: u32 = runs.iter().map(|run| run.records.count()).sum();
            let committed = staging.add(Batch::of(runs.clone()), &known);
            prop_assert_eq!(committed, Committed { kept: offered, repeated: 0 });
            staging.make_blocks(&known, Millis(5));
            let mut next = known.tail;
            let mut last = IdMap::default();
            let mut kept = Vec::new();
            for staged in staging.staged_blocks() {
                let block = &staged.block;
                prop_assert_eq!(block.check(), Ok(()));
                prop_assert_eq!(block.base, next);
                next = block.end();
                let (known_previous, line) = last.get(&block.task).copied().unwrap_or((None, 1));
                prop_assert_eq!((staged.previous, block.base_line), (known_previous, line));
                last.insert(&block.task, (Some(block.last()), line + u64::from(block.lines)));
                let stats: Vec<_> = staging.stats(staged).collect();
                prop_assert_eq!(stats, RunStats::of_block(block));
                let entry = |entry: Entry<'_>| {
                    (block.task.clone(), entry.worker.to_owned(), entry.kind, entry.body.to_vec())
                };
                kept.extend(block.entries().map(entry));
            }
            for task in staging.staged_blocks().iter().map(|staged| &staged.block.task) {
                let of_task = runs.iter().filter(|run| run.task == *task);
                let added = of_task.flat_map(|run| {
                    run.records.iter().map(|(kind, body)| {
                        (task.clone(), run.worker.to_string(), kind, body.to_vec())
                    })
                });
                let kept = kept.iter().filter(|(kept, ..)| kept == task).cloned();
                prop_assert!(added.eq(kept), "the entries of {task} differ");
            }
            prop_assert_eq!(kept.len(), offered as usize);
            staging.clear();
            prop_assert_eq!(staging.staged_blocks().len(), 0);
        }
    }
}
